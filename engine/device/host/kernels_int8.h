// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

// Exact int8 products for whichever byte operations were defined before: IntLanes, int_zero(),
// kStep, load_x(), load_w(), load_w_n(), int_dot(), int_join() and kWeightOffset (the amount that
// load_w adds to every weight so that an unsigned-times-signed instruction serves).

#include "engine/device/host/kernels.h"

namespace haq::device::host {
namespace {

template <int MR, int NR>
HAQ_INLINE void int8_tile(const Int8GemmArgs& a, std::int64_t row, std::int64_t n) {
  const std::int8_t* x[MR];
#pragma GCC unroll 16
  for (int r = 0; r < MR; ++r) x[r] = a.x + a.x_row(row + r) * a.x_stride;
  const std::int8_t* w = a.w + n * a.k;
  IntLanes acc[MR][NR];
#pragma GCC unroll 16
  for (int r = 0; r < MR; ++r) {
#pragma GCC unroll 16
    for (int c = 0; c < NR; ++c) acc[r][c] = int_zero();
  }
  std::int64_t i = 0;
  for (; i + kStep <= a.k; i += kStep) {
    ByteLanes wv[NR];
#pragma GCC unroll 16
    for (int c = 0; c < NR; ++c) wv[c] = load_w(w + c * a.k + i);
    if constexpr (MR == 1) {
#pragma GCC unroll 16
      for (int c = 0; c < NR; ++c) __builtin_prefetch(w + (c + NR) * a.k + i);  // the next tile
    }
#pragma GCC unroll 16
    for (int r = 0; r < MR; ++r) {
      const ByteLanes xv = load_x(x[r] + i);
#pragma GCC unroll 16
      for (int c = 0; c < NR; ++c) acc[r][c] = int_dot(acc[r][c], wv[c], xv);
    }
  }
  if (const int rest = static_cast<int>(a.k - i); rest > 0) {
    for (int c = 0; c < NR; ++c) {
      const ByteLanes wv = load_w_n(w + c * a.k + i, rest);
      for (int r = 0; r < MR; ++r) {
        acc[r][c] = int_dot(acc[r][c], wv, load_x(x[r] + i));
      }
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < MR; ++r) {
    // Sums wrap around modulo 2^32; the difference fits in 32 bits for K up to 131072.
    const std::int64_t from = a.x_row(row + r);
    const auto correction = static_cast<std::uint32_t>(a.x_sum[from]) * kWeightOffset;
    float* out = a.out + a.out_row(row + r) * a.out_stride + n;
#pragma GCC unroll 16
    for (int c = 0; c < NR; ++c) {
      const auto y =
          static_cast<std::int32_t>(static_cast<std::uint32_t>(int_join(acc[r][c])) - correction);
      out[c] = a.bias != nullptr
                   ? num::dequantize(y, a.x_scale[from], a.w_scale[n + c], a.bias[n + c])
                   : num::dequantize(y, a.x_scale[from], a.w_scale[n + c]);
    }
  }
}

template <int MR, int NR>
HAQ_INLINE void int8_columns(const Int8GemmArgs& a, std::int64_t row, std::int64_t n,
                             std::int64_t n_end) {
  for (; n + NR <= n_end; n += NR) int8_tile<MR, NR>(a, row, n);
  for (; n < n_end; ++n) int8_tile<MR, 1>(a, row, n);
}

void int8_gemm(const Int8GemmArgs& a) {
  constexpr std::int64_t kPanel = 64;
  for (std::int64_t n = a.n_begin; n < a.n_end; n += kPanel) {
    const std::int64_t n_end = n + kPanel < a.n_end ? n + kPanel : a.n_end;
    std::int64_t row = 0;
    for (; row + kIntRows <= a.m; row += kIntRows) {
      int8_columns<kIntRows, kIntCols>(a, row, n, n_end);
    }
    for (; row < a.m; ++row) int8_columns<1, kIntVecCols>(a, row, n, n_end);
  }
}

}  // namespace
}  // namespace haq::device::host
