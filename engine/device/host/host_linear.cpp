// SPDX-License-Identifier: GPL-3.0-or-later
#include <algorithm>
#include <atomic>
#include <functional>

#include "engine/base/error.h"
#include "engine/device/host/host_impl.h"

namespace haq::device::host {
namespace {

constexpr std::int64_t kInt8Padding = 64;

}  // namespace

Converted Converted::from_row(std::int64_t row) const {
  Converted c = *this;
  c.rows -= row;
  if (plain != nullptr) c.plain += row * plain_stride;
  if (rounded != nullptr) c.rounded += row * cols;
  if (int8 != nullptr) {
    c.int8 += row * int8_stride;
    c.scale += row;
    c.sum += row;
  }
  return c;
}

void WantedForms::add(const HostLinear& linear) {
  if (linear.path() == LinearPath::kLibrary16) rounded = true;
  if (linear.path() == LinearPath::kInt8) {
    int8 = true;
    if (int8_linear == nullptr) int8_linear = &linear;
  }
}

Converted HostDevice::convert(ConstRows x, const WantedForms& wanted, ConversionScratch& scratch) {
  Converted c;
  c.rows = x.rows;
  c.cols = x.cols;
  c.plain = x.data;
  c.plain_stride = x.stride;
  const auto rows = static_cast<std::size_t>(x.rows);
  if (wanted.rounded) {
    float* rounded = scratch.rounded.get<float>(rows * static_cast<std::size_t>(x.cols));
    const auto range = [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t r = begin; r < end; ++r) {
        kernels_.through_bf16(x.data + r * x.stride, x.cols, rounded + r * x.cols);
      }
    };
    pool_.parallel_for(x.rows, std::max<std::int64_t>(1, 32768 / x.cols), std::ref(range));
    c.rounded = rounded;
  }
  if (wanted.int8) {
    c.int8_stride = (x.cols + kInt8Padding - 1) / kInt8Padding * kInt8Padding;
    auto* q = scratch.int8.get<std::int8_t>(rows * static_cast<std::size_t>(c.int8_stride));
    auto* scale = scratch.scale.get<float>(rows);
    auto* sum = scratch.sum.get<std::int32_t>(rows);
    std::atomic<std::int64_t> bad{-1};
    const auto range = [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t r = begin; r < end; ++r) {
        std::int8_t* to = q + r * c.int8_stride;
        const QuantizedRow row = kernels_.quantize(x.data + r * x.stride, x.cols, to);
        if (!row.finite) bad.store(r, std::memory_order_relaxed);
        std::fill(to + x.cols, to + c.int8_stride, std::int8_t{0});
        scale[r] = row.scale;
        sum[r] = row.sum;
      }
    };
    pool_.parallel_for(x.rows, std::max<std::int64_t>(1, 32768 / x.cols), std::ref(range));
    if (bad.load() >= 0) {
      fail(ErrorCode::kNumeric, "{}: a value in input row {} is not finite.",
           wanted.int8_linear->name(), bad.load());
    }
    c.int8 = q;
    c.scale = scale;
    c.sum = sum;
  }
  return c;
}

void HostDevice::columns(const HostLinear& linear, const Converted& x, std::int64_t n_begin,
                         std::int64_t n_end, float* out, std::int64_t out_stride) const {
  if (linear.path() == LinearPath::kInt8) {
    Int8GemmArgs a;
    a.x = x.int8;
    a.x_stride = x.int8_stride;
    a.x_scale = x.scale;
    a.x_sum = x.sum;
    a.m = x.rows;
    a.w = reinterpret_cast<const std::int8_t*>(linear.data());
    a.k = linear.in();
    a.n_begin = n_begin;
    a.n_end = n_end;
    a.w_scale = linear.scale();
    a.bias = linear.bias();
    a.out = out - n_begin;
    a.out_stride = out_stride;
    int8_.gemm(a);
    return;
  }
  GemmArgs a;
  const bool rounded = linear.path() == LinearPath::kLibrary16;
  a.x = rounded ? x.rounded : x.plain;
  a.x_stride = rounded ? x.cols : x.plain_stride;
  a.m = x.rows;
  a.w = linear.data();
  a.k = linear.in();
  a.n_begin = n_begin;
  a.n_end = n_end;
  a.bias = linear.bias();
  a.out = out - n_begin;
  a.out_stride = out_stride;
  (linear.dtype() == DType::kBF16 ? kernels_.gemm_bf16 : kernels_.gemm_f32)(a);
}

std::int64_t HostDevice::unit_columns(const HostLinear& linear) const {
  constexpr std::int64_t kUnitBytes = 96 * 1024;
  const std::int64_t by_bytes =
      kUnitBytes / static_cast<std::int64_t>(linear.row_bytes()) / 12 * 12;
  const std::int64_t by_threads = (linear.out() / (4 * pool_.size()) + 11) / 12 * 12;
  return std::max<std::int64_t>(12, std::min(by_bytes, by_threads));
}

void HostDevice::linear(ConstRows x, std::span<const LinearCall> calls) {
  WantedForms wanted;
  for (const LinearCall& call : calls) {
    const HostLinear& l = as_host(*call.linear);
    check(x.cols == l.in() && call.out.rows == x.rows && call.out.cols == l.out(), "linear",
          "shape mismatch");
    wanted.add(l);
  }
  if (x.rows == 0 || calls.empty()) return;
  const Converted in = convert(x, wanted, input_);
  // Units of work: a block of columns of one call, for a block of rows.
  constexpr std::int64_t kRowBlock = 64;
  const std::int64_t row_blocks = (x.rows + kRowBlock - 1) / kRowBlock;
  std::int64_t units = 0;
  for (const LinearCall& call : calls) {
    const std::int64_t step = unit_columns(as_host(*call.linear));
    units += (call.out.cols + step - 1) / step * row_blocks;
  }
  const auto body = [&](std::int64_t unit, int) {
    for (const LinearCall& call : calls) {
      const HostLinear& l = as_host(*call.linear);
      const std::int64_t step = unit_columns(l);
      const std::int64_t blocks = (call.out.cols + step - 1) / step;
      if (unit >= blocks * row_blocks) {
        unit -= blocks * row_blocks;
        continue;
      }
      const std::int64_t row = unit / blocks * kRowBlock;
      const std::int64_t n = unit % blocks * step;
      Converted part = in.from_row(row);
      part.rows = std::min(part.rows, kRowBlock);
      columns(l, part, n, std::min(n + step, call.out.cols),
              call.out.data + row * call.out.stride + n, call.out.stride);
      return;
    }
  };
  pool_.parallel_dynamic(units, std::ref(body));
}

}  // namespace haq::device::host
