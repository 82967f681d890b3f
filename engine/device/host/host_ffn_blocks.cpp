// SPDX-License-Identifier: GPL-3.0-or-later
#include <algorithm>
#include <cstring>
#include <functional>

#include "engine/device/host/ffn_plan.h"

namespace haq::device::host {

void HostDevice::ffn_blocks(ConstRows x, FfnPlan& plan, Rows out) {
  WantedForms wanted;
  const HostLinear& any = as_host(*plan.parts.front().group->ffn->up);
  wanted.add(any, true);
  const bool own = !products_.uses_library(any.path());
  const Converted in = convert(x, wanted, input_);
  struct Unit {
    const FfnGroup* group;
    std::int64_t first, count;
  };
  // Small enough that the last unit does not leave the other threads idle for long.
  const std::int64_t fair = std::max<std::int64_t>(16, plan.rows / (4 * pool_.size()));
  const std::int64_t limit = std::min(kLibraryRows, LibraryCache::padded_rows(fair));
  // Our own kernels take any number of rows, and few at a time cost them most: a network's rows are
  // cut evenly, into pieces of half as many rows again rather than into one more.
  const auto pieces_of = [&](std::int64_t rows) {
    return own ? std::max<std::int64_t>(1, (rows + limit / 2) / limit) : (rows + limit - 1) / limit;
  };
  std::int64_t count = 0;
  for (const FfnPlan::Part& part : plan.parts) count += pieces_of(part.rows);
  auto* units = units_.get<Unit>(static_cast<std::size_t>(count));
  count = 0;
  for (const FfnPlan::Part& part : plan.parts) {
    const std::int64_t pieces = pieces_of(part.rows);
    const std::int64_t even = (part.rows + pieces - 1) / pieces;
    const std::int64_t size = own ? even : LibraryCache::padded_rows(even);
    for (std::int64_t first = 0; first < part.rows; first += size) {
      units[count++] = {part.group, first, std::min(size, part.rows - first)};
    }
  }
  std::sort(units, units + count, [](const Unit& a, const Unit& b) { return a.count > b.count; });
  const auto body = [&](std::int64_t index, int thread) {
    const Unit& unit = units[index];
    ThreadScratch& scratch = threads_[static_cast<std::size_t>(thread)];
    if (own) {
      ffn_block_int8(*unit.group, unit.first, unit.count, in, out, scratch);
    } else {
      ffn_block(*unit.group, unit.first, unit.count, in, out, scratch);
    }
  };
  pool_.parallel_dynamic(count, std::ref(body));
}

void HostDevice::ffn_block(const FfnGroup& group, std::int64_t first, std::int64_t count,
                           const Converted& x, Rows out, ThreadScratch& scratch) {
  const FfnSpec& f = *group.ffn;
  const HostLinear& up = as_host(*f.up);
  const HostLinear& down = as_host(*f.down);
  const bool int8 = up.path() == LinearPath::kInt8;
  const auto padded = static_cast<std::size_t>(LibraryCache::padded_rows(count));
  const std::int64_t width = up.out();

  RowBlock in;
  in.rows = count;
  in.cols = x.cols;
  in.int8_stride = x.int8_stride;
  auto* scale = scratch.scales.get<float>(padded);
  auto* sum = scratch.sums.get<std::int32_t>(padded);
  in.scale = scale;
  in.sum = sum;
  const std::size_t row_bytes = int8 ? static_cast<std::size_t>(x.int8_stride)
                                     : static_cast<std::size_t>(x.cols) * sizeof(std::uint16_t);
  auto* gathered = scratch.input.get<std::byte>(padded * row_bytes);
  const auto* source = int8 ? reinterpret_cast<const std::byte*>(x.int8)
                            : reinterpret_cast<const std::byte*>(x.bf16);
  for (std::int64_t r = 0; r < count; ++r) {
    const std::int64_t row = group.rows[static_cast<std::size_t>(first + r)];
    std::memcpy(gathered + static_cast<std::size_t>(r) * row_bytes,
                source + static_cast<std::size_t>(row) * row_bytes, row_bytes);
    if (int8) {
      scale[r] = x.scale[row];
      sum[r] = x.sum[row];
    }
  }
  in.bf16 = reinterpret_cast<const std::uint16_t*>(gathered);
  in.int8 = reinterpret_cast<const std::int8_t*>(gathered);

  // Gate and up slice by slice; the activation follows while both are in cache.
  auto* hidden = scratch.a.get<float>(static_cast<std::size_t>(count * width));
  const auto& slices = up.library().slices;
  for (std::size_t s = 0; s < slices.size(); ++s) {
    const std::int64_t begin = slices[s].begin, columns = slices[s].end - begin;
    auto* u = scratch.b.get<float>(static_cast<std::size_t>(2 * count * columns));
    float* g = u;
    products_.run(up, s, in, u, columns, scratch.block);
    if (f.gate) {
      g = u + count * columns;
      products_.run(as_host(*f.gate), s, in, g, columns, scratch.block);
    }
    for (std::int64_t r = 0; r < count; ++r) {
      kernels_.glu(glu_of(f.activation), f.limit, g + r * columns, u + r * columns, columns,
                   hidden + r * width + begin);
    }
  }

  RowBlock h;
  if (int8) {
    h = quantize_hidden(down, group, first, count, hidden, padded, scratch);
  } else {
    auto* b = scratch.hidden.get<std::uint16_t>(padded * static_cast<std::size_t>(width));
    kernels_.round_bf16(hidden, count * width, b);
    h.rows = count;
    h.cols = width;
    h.bf16 = b;
  }
  const auto& down_slices = down.library().slices;
  for (std::size_t s = 0; s < down_slices.size(); ++s) {
    const std::int64_t begin = down_slices[s].begin, columns = down_slices[s].end - begin;
    auto* y = scratch.b.get<float>(static_cast<std::size_t>(count * columns));
    products_.run(down, s, h, y, columns, scratch.block);
    for (std::int64_t r = 0; r < count; ++r) {
      std::memcpy(out.data + group.slots[static_cast<std::size_t>(first + r)] * out.stride + begin,
                  y + r * columns, static_cast<std::size_t>(columns) * sizeof(float));
    }
  }
}

}  // namespace haq::device::host
