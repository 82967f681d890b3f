// SPDX-License-Identifier: GPL-3.0-or-later
#include <algorithm>

#include "engine/device/host/ffn_plan.h"

namespace haq::device::host {

RowBlock HostDevice::quantize_hidden(const HostLinear& down, const FfnGroup& group,
                                     std::int64_t first, std::int64_t count, const float* hidden,
                                     std::size_t room, ThreadScratch& scratch) const {
  RowBlock h;
  h.rows = count;
  h.cols = down.in();
  h.int8_stride = (h.cols + 63) / 64 * 64;
  auto* q = scratch.hidden.get<std::int8_t>(room * static_cast<std::size_t>(h.int8_stride));
  auto* scale = scratch.scales.get<float>(room);
  auto* sum = scratch.sums.get<std::int32_t>(room);
  for (std::int64_t r = 0; r < count; ++r) {
    const QuantizedRow row =
        quantize_row(down, hidden + r * h.cols, h.cols, h.int8_stride, q + r * h.int8_stride,
                     group.rows[static_cast<std::size_t>(first + r)]);
    scale[r] = row.scale;
    sum[r] = row.sum;
  }
  h.int8 = q;
  h.scale = scale;
  h.sum = sum;
  return h;
}

void HostDevice::ffn_block_int8(const FfnGroup& group, std::int64_t first, std::int64_t count,
                                const Converted& x, Rows out, ThreadScratch& scratch) {
  const FfnSpec& f = *group.ffn;
  const HostLinear& up = as_host(*f.up);
  const HostLinear& down = as_host(*f.down);
  const HostLinear* gate = f.gate ? &as_host(*f.gate) : nullptr;
  const std::int64_t width = up.out();
  constexpr std::int64_t kColumns = kInt8PanelColumns;
  RowBlock in = x.block(0, count);  // rows by number: nothing is gathered
  std::byte* memory = scratch.block.for_int8(count);

  // Gate and up one panel at a time; the activation follows while both are in cache.
  auto* hidden = scratch.a.get<float>(static_cast<std::size_t>(count * width));
  auto* u = scratch.b.get<float>(static_cast<std::size_t>(2 * count * kColumns));
  float* g = gate != nullptr ? u + count * kColumns : u;
  const auto product = [&](const HostLinear& linear, const HostLinear& next, std::int64_t begin,
                           std::int64_t next_begin, float* to) {
    Int8GemmArgs a = int8_args(linear, in, begin, std::min(begin + kColumns, width), to, kColumns);
    a.x_rows = group.rows.data() + first;
    a.scratch = memory;
    a.next = reinterpret_cast<const std::int8_t*>(next.data()) + next_begin * next.in();
    a.next_rows = std::max<std::int64_t>(0, width - next_begin);
    int8_.gemm(a);
  };
  for (std::int64_t n = 0; n < width; n += kColumns) {
    product(up, gate != nullptr ? *gate : up, n, gate != nullptr ? n : n + kColumns, u);
    if (gate != nullptr) product(*gate, up, n, n + kColumns, g);
    const std::int64_t columns = std::min(kColumns, width - n);
    for (std::int64_t r = 0; r < count; ++r) {
      kernels_.glu(glu_of(f.activation), f.limit, g + r * kColumns, u + r * kColumns, columns,
                   hidden + r * width + n);
    }
  }

  const RowBlock h =
      quantize_hidden(down, group, first, count, hidden, static_cast<std::size_t>(count), scratch);
  Int8GemmArgs a = int8_args(down, h, 0, down.out(), out.data, out.stride);
  a.out_rows = group.slots.data() + first;
  a.scratch = memory;
  int8_.gemm(a);
}

}  // namespace haq::device::host
