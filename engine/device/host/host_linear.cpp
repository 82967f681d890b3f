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
  if (bf16 != nullptr) c.bf16 += row * cols;
  if (int8 != nullptr) {
    c.int8 += row * int8_stride;
    c.scale += row;
    c.sum += row;
  }
  return c;
}

RowBlock Converted::block(std::int64_t row, std::int64_t count) const {
  const Converted from = from_row(row);
  RowBlock b;
  b.rows = count;
  b.cols = cols;
  b.bf16 = from.bf16;
  b.int8 = from.int8;
  b.int8_stride = int8_stride;
  b.scale = from.scale;
  b.sum = from.sum;
  return b;
}

void WantedForms::add(const HostLinear& linear, bool by_library) {
  if (linear.path() == LinearPath::kLibrary16) (by_library ? bf16 : rounded) = true;
  if (linear.path() == LinearPath::kInt8) {
    int8 = true;
    if (int8_linear == nullptr) int8_linear = &linear;
  }
}

QuantizedRow HostDevice::quantize_row(const HostLinear& linear, const float* x, std::int64_t cols,
                                      std::int64_t stride, std::int8_t* to,
                                      std::int64_t row) const {
  const QuantizedRow q = kernels_.quantize(x, cols, to);
  if (!q.finite) {
    fail(ErrorCode::kNumeric, "{}: a value in input row {} is not finite.", linear.name(), row);
  }
  std::fill(to + cols, to + stride, std::int8_t{0});
  return q;
}

Converted HostDevice::convert(ConstRows x, const WantedForms& wanted, ConversionScratch& scratch) {
  Converted c;
  c.rows = x.rows;
  c.cols = x.cols;
  c.plain = x.data;
  c.plain_stride = x.stride;
  if (!wanted.rounded && !wanted.bf16 && !wanted.int8) return c;
  // The library may read up to a whole block of padding rows.
  const auto rows = static_cast<std::size_t>(LibraryCache::padded_rows(x.rows) + 8);
  const auto cols = static_cast<std::size_t>(x.cols);
  float* rounded = wanted.rounded ? scratch.rounded.get<float>(rows * cols) : nullptr;
  auto* bf16 = wanted.bf16 ? scratch.bf16.get<std::uint16_t>(rows * cols) : nullptr;
  std::int8_t* int8 = nullptr;
  float* scale = nullptr;
  std::int32_t* sum = nullptr;
  if (wanted.int8) {
    c.int8_stride = (x.cols + kInt8Padding - 1) / kInt8Padding * kInt8Padding;
    int8 = scratch.int8.get<std::int8_t>(rows * static_cast<std::size_t>(c.int8_stride));
    scale = scratch.scale.get<float>(rows);
    sum = scratch.sum.get<std::int32_t>(rows);
  }
  for_rows(x.rows, x.cols, [&](std::int64_t r) {
    const float* from = x.data + r * x.stride;
    if (rounded != nullptr) kernels_.through_bf16(from, x.cols, rounded + r * x.cols);
    if (bf16 != nullptr) kernels_.round_bf16(from, x.cols, bf16 + r * x.cols);
    if (int8 != nullptr) {
      const QuantizedRow q = quantize_row(*wanted.int8_linear, from, x.cols, c.int8_stride,
                                          int8 + r * c.int8_stride, r);
      scale[r] = q.scale;
      sum[r] = q.sum;
    }
  });
  c.rounded = rounded;
  c.bf16 = bf16;
  c.int8 = int8;
  c.scale = scale;
  c.sum = sum;
  return c;
}

void HostDevice::columns(const HostLinear& linear, const Converted& x, std::int64_t n_begin,
                         std::int64_t n_end, float* out, std::int64_t out_stride,
                         BlockScratch& scratch) const {
  if (linear.path() == LinearPath::kInt8) {
    Int8GemmArgs a = int8_args(linear, x.block(0, x.rows), n_begin, n_end, out, out_stride);
    a.scratch = scratch.for_int8(a.m);
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

std::int64_t HostDevice::unit_columns(const HostLinear& linear, std::int64_t rows) const {
  if (linear.path() == LinearPath::kInt8 && rows >= int8_.many_rows) {
    // Each unit prefetches its later panels while it works on the first.
    constexpr std::int64_t kPanels = 4;
    const std::int64_t panels = (linear.out() + kInt8PanelColumns - 1) / kInt8PanelColumns;
    return kInt8PanelColumns * std::clamp<std::int64_t>(panels / (4 * pool_.size()), 1, kPanels);
  }
  constexpr std::int64_t kUnitBytes = 96 * 1024;
  const std::int64_t by_bytes =
      kUnitBytes / static_cast<std::int64_t>(linear.row_bytes()) / 12 * 12;
  const std::int64_t by_threads = (linear.out() / (4 * pool_.size()) + 11) / 12 * 12;
  return std::max<std::int64_t>(12, std::min(by_bytes, by_threads));
}

void HostDevice::linear(ConstRows x, std::span<const LinearCall> calls) {
  constexpr std::int64_t kRowBlock = 64, kInt8RowBlock = 256;
  const auto by_library = [&](const HostLinear& l) {
    return x.rows >= kLibraryMinRows && products_.uses_library(l.path());
  };
  const std::int64_t library_blocks = (x.rows + kLibraryRows - 1) / kLibraryRows;
  const std::int64_t library_rows =
      library_blocks == 0
          ? 0
          : LibraryCache::padded_rows((x.rows + library_blocks - 1) / library_blocks);
  // Units of work: a run of columns of one call, for a block of rows.
  struct Grid {
    std::int64_t column_units, row_units, step, rows;
  };
  const auto grid_of = [&](const HostLinear& l) {
    Grid g{};
    if (by_library(l)) {
      g.column_units = static_cast<std::int64_t>(l.library().slices.size());
      g.rows = library_rows;
    } else {
      g.step = unit_columns(l, x.rows);
      g.column_units = (l.out() + g.step - 1) / g.step;
      g.rows = l.path() == LinearPath::kInt8 ? kInt8RowBlock : kRowBlock;
    }
    g.row_units = (x.rows + g.rows - 1) / g.rows;
    return g;
  };
  WantedForms wanted;
  for (const LinearCall& call : calls) {
    const HostLinear& l = as_host(*call.linear);
    check(x.cols == l.in() && call.out.rows == x.rows && call.out.cols == l.out(), "linear",
          "shape mismatch");
    wanted.add(l, by_library(l));
  }
  if (x.rows == 0 || calls.empty()) return;
  const Converted in = convert(x, wanted, input_);
  std::int64_t units = 0;
  for (const LinearCall& call : calls) {
    const Grid g = grid_of(as_host(*call.linear));
    units += g.column_units * g.row_units;
  }
  const auto body = [&](std::int64_t unit, int thread) {
    for (const LinearCall& call : calls) {
      const HostLinear& l = as_host(*call.linear);
      const Grid g = grid_of(l);
      if (unit >= g.column_units * g.row_units) {
        unit -= g.column_units * g.row_units;
        continue;
      }
      // Row blocks of the same columns follow each other: the weights stay in cache.
      const std::int64_t row = unit % g.row_units * g.rows;
      const std::int64_t column = unit / g.row_units;
      const std::int64_t rows = std::min(g.rows, x.rows - row);
      float* out = call.out.data + row * call.out.stride;
      if (by_library(l)) {
        const auto slice = static_cast<std::size_t>(column);
        products_.run(l, slice, in.block(row, rows), out + l.library().slices[slice].begin,
                      call.out.stride, threads_[static_cast<std::size_t>(thread)].block);
      } else {
        Converted part = in.from_row(row);
        part.rows = rows;
        const std::int64_t n = column * g.step;
        columns(l, part, n, std::min(n + g.step, l.out()), out + n, call.out.stride,
                threads_[static_cast<std::size_t>(thread)].block);
      }
      return;
    }
  };
  pool_.parallel_dynamic(units, std::ref(body));
}

}  // namespace haq::device::host
