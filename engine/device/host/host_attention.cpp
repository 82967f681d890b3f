// SPDX-License-Identifier: GPL-3.0-or-later
#include <algorithm>
#include <functional>
#include <vector>

#include "engine/base/error.h"
#include "engine/device/host/host_impl.h"
#include "engine/device/host/kv_cache.h"

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
    int count = 0;
    for (std::int64_t r = row; r < row_end; ++r) {
      for (int g = 0; g < group; ++g) {
        const int head = kv_head * group + g;
        queries[count++] = {
            args.q.data + r * args.q.stride + static_cast<std::int64_t>(head) * layout.k_dim,
            args.out.data + r * args.out.stride + static_cast<std::int64_t>(head) * layout.v_dim,
            args.first_position + r, args.sinks != nullptr ? args.sinks + head : nullptr};
      }
    }
    const std::int64_t end_position = args.first_position + row_end;
    const std::int64_t keys =
        args.window > 0 ? std::min<std::int64_t>(end_position, args.window + rows_per_unit)
                        : end_position;
    AttentionUnit u;
    u.blocks = kv.blocks(args.layer);
    u.k_offset = kv.k_offset(kv_head);
    u.v_offset = kv.v_offset(kv_head);
    u.bf16 = layout.type == KvType::kBF16;
    u.k_dim = layout.k_dim;
    u.v_dim = layout.v_dim;
    u.scale = args.scale;
    u.window = args.window;
    u.queries = queries;
    u.count = count;
    u.scratch = scratch.attention.get<float>(attention_scratch(keys, kernels_.attention_tile));
    kernels_.attention(u);
  };
  pool_.parallel_dynamic(row_units * layout.kv_heads, std::ref(body));
}

}  // namespace haq::device::host
