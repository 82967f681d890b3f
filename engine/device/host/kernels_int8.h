// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

// Exact int8 products for whichever byte operations were defined before: IntLanes, int_zero(),
// kStep, load_x(), load_w(), load_w_n(), int_dot(), int_add(), int_join() and kWeightOffset (the
// amount that load_w adds to every weight so that an unsigned-times-signed instruction serves).

//
// A file may define int8_store_tile() for tiles of its own before.

#include "engine/device/host/kernels.h"

namespace haq::device::host {
namespace {

/// Walks over the lines of a block of weights in the order in which they will be read.
struct Prefetcher {
  const std::int8_t* line = nullptr;
  std::int64_t stride = 0, width = 0;  ///< bytes from row to row; bytes per row, multiple of 64
  std::int64_t column = 0, lines = 0, per_step = 0;

  /// Spreads `rows` rows of `bytes` bytes over `steps` calls of step().
  Prefetcher(const std::int8_t* p, std::int64_t rows, std::int64_t bytes, std::int64_t row_stride,
             std::int64_t steps)
      : line(p), stride(row_stride), width((bytes + 63) / 64 * 64) {
    lines = p != nullptr ? rows * (width / 64) : 0;
    per_step = (lines + steps - 1) / steps;
  }
  HAQ_INLINE void step() {
    for (std::int64_t i = 0; i < per_step; ++i) {
      if (lines == 0) return;
      __builtin_prefetch(line + column, 0, 2);  // into the second level
      --lines;
      column += 64;
      if (column == width) {
        column = 0;
        line += stride;
      }
    }
  }
};

/// Dequantizes the sum of row `row` and column n into its place.
HAQ_INLINE void int8_store(const Int8GemmArgs& a, std::int64_t row, std::int64_t n,
                           std::int32_t sum) {
  const std::int64_t from = a.x_row(row);
  // Sums wrap around modulo 2^32; the difference fits in 32 bits for K up to 131072.
  const auto y = static_cast<std::int32_t>(
      static_cast<std::uint32_t>(sum) - static_cast<std::uint32_t>(a.x_sum[from]) * kWeightOffset);
  a.out[a.out_row(row) * a.out_stride + n] =
      a.bias != nullptr ? num::dequantize(y, a.x_scale[from], a.w_scale[n], a.bias[n])
                        : num::dequantize(y, a.x_scale[from], a.w_scale[n]);
}

template <int MR, int NR>
HAQ_INLINE void int8_store_tile(const Int8GemmArgs& a, std::int64_t row, std::int64_t n,
                                const IntLanes (&acc)[MR][NR]) {
#pragma GCC unroll 16
  for (int r = 0; r < MR; ++r) {
#pragma GCC unroll 16
    for (int c = 0; c < NR; ++c) int8_store(a, row + r, n + c, int_join(acc[r][c]));
  }
}

template <int MR, int NR>
HAQ_INLINE void int8_tile(const Int8GemmArgs& a, std::int64_t row, std::int64_t n,
                          Prefetcher& prefetch) {
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
    prefetch.step();
    ByteLanes wv[NR];
#pragma GCC unroll 16
    for (int c = 0; c < NR; ++c) wv[c] = load_w(w + c * a.k + i);
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
  int8_store_tile(a, row, n, acc);
}

/// One or two rows: the weights are read strictly in order into a few independent sums. They come
/// from memory: asking for each line this far ahead reads a fifth faster than the processor's own
/// prefetching, which stops at every page. Further ahead or into the second level is no faster.
constexpr std::int64_t kAhead = 4096;

template <int MR>
HAQ_INLINE void int8_stream(const Int8GemmArgs& a, std::int64_t row, std::int64_t n,
                            std::int64_t n_end) {
  constexpr int kSums = 4;
  const std::int8_t* x[MR];
#pragma GCC unroll 2
  for (int r = 0; r < MR; ++r) x[r] = a.x + a.x_row(row + r) * a.x_stride;
  for (; n < n_end; ++n) {
    const std::int8_t* w = a.w + n * a.k;
    IntLanes acc[MR][kSums];
#pragma GCC unroll 2
    for (int r = 0; r < MR; ++r) {
#pragma GCC unroll 4
      for (int s = 0; s < kSums; ++s) acc[r][s] = int_zero();
    }
    std::int64_t i = 0;
    for (; i + kSums * kStep <= a.k; i += kSums * kStep) {
      for (int line = 0; line < kSums * kStep; line += 64) {
        __builtin_prefetch(w + i + line + kAhead);
      }
#pragma GCC unroll 4
      for (int s = 0; s < kSums; ++s) {
        const ByteLanes wv = load_w(w + i + s * kStep);
#pragma GCC unroll 2
        for (int r = 0; r < MR; ++r) {
          acc[r][s] = int_dot(acc[r][s], wv, load_x(x[r] + i + s * kStep));
        }
      }
    }
    for (; i + kStep <= a.k; i += kStep) {
      const ByteLanes wv = load_w(w + i);
#pragma GCC unroll 2
      for (int r = 0; r < MR; ++r) acc[r][0] = int_dot(acc[r][0], wv, load_x(x[r] + i));
    }
    if (const int rest = static_cast<int>(a.k - i); rest > 0) {
      const ByteLanes wv = load_w_n(w + i, rest);
#pragma GCC unroll 2
      for (int r = 0; r < MR; ++r) acc[r][1] = int_dot(acc[r][1], wv, load_x(x[r] + i));
    }
#pragma GCC unroll 2
    for (int r = 0; r < MR; ++r) {
      int8_store(a, row + r, n,
                 int_join(int_add(int_add(acc[r][0], acc[r][1]), int_add(acc[r][2], acc[r][3]))));
    }
  }
}

template <int MR>
HAQ_INLINE void int8_rows(const Int8GemmArgs& a, std::int64_t row, std::int64_t n,
                          std::int64_t n_end, Prefetcher& prefetch) {
  for (; n + kIntCols <= n_end; n += kIntCols) int8_tile<MR, kIntCols>(a, row, n, prefetch);
  for (; n < n_end; ++n) int8_tile<MR, 1>(a, row, n, prefetch);
}

void int8_gemm(const Int8GemmArgs& a) {
  if (a.m == 0) return;
  if (a.m == 1) return int8_stream<1>(a, 0, a.n_begin, a.n_end);
  if (a.m == 2) return int8_stream<2>(a, 0, a.n_begin, a.n_end);
  constexpr std::int64_t kColumns = 32;  // their weights stay close while all rows pass by
  const std::int64_t steps =
      (a.m / kIntRows + a.m % kIntRows / 2) * (kColumns / kIntCols) * ((a.k + kStep - 1) / kStep);
  for (std::int64_t n = a.n_begin; n < a.n_end; n += kColumns) {
    const std::int64_t n_end = n + kColumns < a.n_end ? n + kColumns : a.n_end;
    const bool here = n_end < a.n_end;
    const std::int64_t rows = here ? a.n_end - n_end : a.next_rows;
    Prefetcher prefetch(here ? a.w + n_end * a.k : a.next, rows < kColumns ? rows : kColumns, a.k,
                        a.k, steps);
    std::int64_t row = 0;
    for (; row + kIntRows <= a.m; row += kIntRows) int8_rows<kIntRows>(a, row, n, n_end, prefetch);
    if constexpr (kIntRows > 2) {
      for (; row + 2 <= a.m; row += 2) int8_rows<2>(a, row, n, n_end, prefetch);
    }
    if (row < a.m) int8_stream<1>(a, row, n, n_end);
  }
}

}  // namespace
}  // namespace haq::device::host
