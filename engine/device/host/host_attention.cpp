// SPDX-License-Identifier: GPL-3.0-or-later
#include <algorithm>
#include <functional>
#include <vector>

#include "engine/base/error.h"
#include "engine/device/host/host_impl.h"
#include "engine/device/host/kv_cache.h"
#include "engine/device/numerics.h"

namespace haq::device::host {
namespace {

HostKvCache& as_host(KvCache& cache) {
  auto* host = dynamic_cast<HostKvCache*>(&cache);
  if (host == nullptr) fail(ErrorCode::kInternal, "A KV cache of another device.");
  return *host;
}

}  // namespace

void HostDevice::store_kv(KvCache& cache, int layer, std::int64_t first_position, ConstRows k,
                          ConstRows v) {
  HostKvCache& kv = as_host(cache);
  const KvLayout& layout = kv.layout();
  check(layer >= 0 && layer < layout.layers && k.rows == v.rows &&
            k.cols == static_cast<std::int64_t>(layout.kv_heads) * layout.k_dim &&
            v.cols == static_cast<std::int64_t>(layout.kv_heads) * layout.v_dim,
        "store_kv", "shape mismatch");
  check(first_position >= 0 && first_position + k.rows <= kv.capacity(), "store_kv",
        "position outside the reserved tokens");
  for_rows(k.rows, k.cols + v.cols, [&](std::int64_t r) {
    kv.store(kernels_, layer, first_position + r, k.data + r * k.stride, v.data + r * v.stride);
  });
}

void HostDevice::attention(const AttentionArgs& args) {
  check(args.cache != nullptr, "attention", "no cache");
  const HostKvCache& kv = as_host(*args.cache);
  const KvLayout& layout = kv.layout();
  const int group = args.heads / layout.kv_heads;
  check(args.layer >= 0 && args.layer < layout.layers && group * layout.kv_heads == args.heads &&
            args.q.rows == args.out.rows &&
            args.q.cols == static_cast<std::int64_t>(args.heads) * layout.k_dim &&
            args.out.cols == static_cast<std::int64_t>(args.heads) * layout.v_dim,
        "attention", "shape mismatch");
  check(args.first_position >= 0 && args.first_position + args.q.rows <= kv.capacity(), "attention",
        "position outside the reserved tokens");
  if (args.q.rows == 0) return;

  const auto unit_of = [&](int kv_head) {
    AttentionUnit u;
    u.blocks = kv.blocks(args.layer);
    u.k_offset = kv.k_offset(kv_head);
    u.v_offset = kv.v_offset(kv_head);
    u.bf16 = layout.type == KvType::kBF16;
    u.k_dim = layout.k_dim;
    u.v_dim = layout.v_dim;
    u.scale = args.scale;
    u.window = args.window;
    return u;
  };
  const auto query_of = [&](std::int64_t row, int head) {
    return Query{
        args.q.data + row * args.q.stride + static_cast<std::int64_t>(head) * layout.k_dim,
        args.out.data + row * args.out.stride + static_cast<std::int64_t>(head) * layout.v_dim,
        args.first_position + row, args.sinks != nullptr ? args.sinks + head : nullptr};
  };
  const auto visible = [&](std::int64_t end_position, std::int64_t rows) {
    return args.window > 0 ? std::min<std::int64_t>(end_position, args.window + rows)
                           : end_position;
  };

  // Too few heads for the threads and a long context: several threads share each head.
  constexpr std::int64_t kLongContext = 1024;
  const std::int64_t keys = visible(args.first_position + 1, 1);
  if (args.q.rows == 1 && layout.kv_heads < pool_.size() && keys >= kLongContext) {
    const std::size_t per_head = split_attention_scratch(keys, group);
    float* scratch = activated_.get<float>(per_head * static_cast<std::size_t>(layout.kv_heads));
    auto* queries = units_.get<Query>(static_cast<std::size_t>(args.heads));
    for (int h = 0; h < args.heads; ++h) queries[h] = query_of(0, h);
    const std::int64_t position = args.first_position;
    const std::int64_t first_key =
        args.window > 0 ? std::max<std::int64_t>(0, position + 1 - args.window) : 0;
    const std::int64_t blocks = position / num::kKeyBlock + 1 - first_key / num::kKeyBlock;
    const auto run_phase = [&](AttentionPhase phase, std::int64_t count, std::int64_t step) {
      const std::int64_t pieces = (count + step - 1) / step;
      const auto body = [&](std::int64_t unit, int) {
        const int kv_head = static_cast<int>(unit / pieces);
        const std::int64_t begin = unit % pieces * step;
        AttentionUnit u = unit_of(kv_head);
        u.queries = queries + static_cast<std::ptrdiff_t>(kv_head) * group;
        u.count = group;
        u.scratch = scratch + per_head * static_cast<std::size_t>(kv_head);
        kernels_.attention_part(u, phase, begin, std::min(count, begin + step));
      };
      pool_.parallel_dynamic(pieces * layout.kv_heads, std::ref(body));
    };
    const std::int64_t share = 2 * pool_.size() / layout.kv_heads + 1;
    run_phase(AttentionPhase::kScores, blocks, (blocks + share - 1) / share);
    run_phase(AttentionPhase::kWeights, group, 1);
    const bool wide =
        static_cast<std::int64_t>(layout.kv_heads) * layout.v_dim >= 64 * pool_.size();
    run_phase(AttentionPhase::kValues, layout.v_dim, wide ? 64 : 16);
    return;
  }

  // A unit of work is one head of keys and values and some rows; later rows first, they take
  // longest.
  constexpr std::int64_t kQueriesPerUnit = 16;
  const std::int64_t rows_per_unit = std::max<std::int64_t>(1, kQueriesPerUnit / group);
  const std::int64_t row_units = (args.q.rows + rows_per_unit - 1) / rows_per_unit;
  const auto body = [&](std::int64_t unit, int thread) {
    const int kv_head = static_cast<int>(unit % layout.kv_heads);
    const std::int64_t row = (row_units - 1 - unit / layout.kv_heads) * rows_per_unit;
    const std::int64_t row_end = std::min(row + rows_per_unit, args.q.rows);
    ThreadScratch& scratch = threads_[static_cast<std::size_t>(thread)];
    auto* queries = scratch.a.get<Query>(static_cast<std::size_t>((row_end - row) * group));
    AttentionUnit u = unit_of(kv_head);
    u.queries = queries;
    for (std::int64_t r = row; r < row_end; ++r) {
      for (int g = 0; g < group; ++g) queries[u.count++] = query_of(r, kv_head * group + g);
    }
    u.scratch = scratch.attention.get<float>(attention_scratch(
        visible(args.first_position + row_end, rows_per_unit), kernels_.attention_tile));
    kernels_.attention(u);
  };
  pool_.parallel_dynamic(row_units * layout.kv_heads, std::ref(body));
}

}  // namespace haq::device::host
