// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

// Fixed-order products for whichever V16 was included before.

#include "engine/device/host/kernels.h"

namespace haq::device::host {
namespace {

/// MR x NR outputs over the whole of K: two V16 accumulators (32 partial sums) per output.
template <int MR, int NR, class T>
HAQ_INLINE void gemm_tile(const float* x, std::int64_t x_stride, const T* w, std::int64_t w_stride,
                          std::int64_t k, const float* bias, float* out, std::int64_t out_stride) {
  V16 low[MR][NR], high[MR][NR];
#pragma GCC unroll 16
  for (int r = 0; r < MR; ++r) {
#pragma GCC unroll 16
    for (int c = 0; c < NR; ++c) low[r][c] = high[r][c] = zero();
  }
  std::int64_t i = 0;
  for (; i + 32 <= k; i += 32) {
    V16 wv[NR];
#pragma GCC unroll 16
    for (int c = 0; c < NR; ++c) wv[c] = load(w + c * w_stride + i);
    if constexpr (MR <= 2) {
      // The weights come from memory: fetch the same place of the next NR rows, which the
      // processor's own prefetcher meets too late at the start of each row.
#pragma GCC unroll 16
      for (int c = 0; c < NR; ++c) {
        prefetch(w + (c + NR) * w_stride + i);
        if constexpr (sizeof(T) == 4) prefetch(w + (c + NR) * w_stride + i + 16);
      }
    }
#pragma GCC unroll 16
    for (int r = 0; r < MR; ++r) {
      const V16 xv = load(x + r * x_stride + i);
#pragma GCC unroll 16
      for (int c = 0; c < NR; ++c) low[r][c] = fma(xv, wv[c], low[r][c]);
    }
#pragma GCC unroll 16
    for (int c = 0; c < NR; ++c) wv[c] = load(w + c * w_stride + i + 16);
#pragma GCC unroll 16
    for (int r = 0; r < MR; ++r) {
      const V16 xv = load(x + r * x_stride + i + 16);
#pragma GCC unroll 16
      for (int c = 0; c < NR; ++c) high[r][c] = fma(xv, wv[c], high[r][c]);
    }
  }
  if (const int rest = static_cast<int>(k - i); rest > 0) {
#pragma GCC unroll 16
    for (int r = 0; r < MR; ++r) {
      const V16 xl = load_n(x + r * x_stride + i, rest);
      const V16 xh = rest > 16 ? load_n(x + r * x_stride + i + 16, rest - 16) : zero();
#pragma GCC unroll 16
      for (int c = 0; c < NR; ++c) {
        low[r][c] = fma(xl, load_n(w + c * w_stride + i, rest), low[r][c]);
        const V16 wh = rest > 16 ? load_n(w + c * w_stride + i + 16, rest - 16) : zero();
        high[r][c] = fma(xh, wh, high[r][c]);
      }
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < MR; ++r) {
#pragma GCC unroll 16
    for (int c = 0; c < NR; ++c) {
      const float y = join(add(low[r][c], high[r][c]));
      out[r * out_stride + c] = bias != nullptr ? y + bias[c] : y;
    }
  }
}

/// The same in four passes over K, each for eight of the 32 partial sums, for instruction sets
/// whose registers hold a useful tile only so.
/// (X is float; a parameter only so that instruction sets without eight-lane loads need not name
/// them.)
template <int MR, int NR, class T, class X>
HAQ_INLINE void gemm_tile_groups(const X* x, std::int64_t x_stride, const T* w,
                                 std::int64_t w_stride, std::int64_t k, const float* bias,
                                 float* out, std::int64_t out_stride) {
  using Lanes8 = decltype(load8(w));
  Lanes8 part[4][MR][NR];
  for (int group = 0; group < 4; ++group) {
    Lanes8 acc[MR][NR];
#pragma GCC unroll 16
    for (int r = 0; r < MR; ++r) {
#pragma GCC unroll 16
      for (int c = 0; c < NR; ++c) acc[r][c] = Lanes8{};
    }
    std::int64_t i = 8 * group;
    for (; i - 8 * group + 32 <= k; i += 32) {
      Lanes8 wv[NR];
#pragma GCC unroll 16
      for (int c = 0; c < NR; ++c) wv[c] = load8(w + c * w_stride + i);
#pragma GCC unroll 16
      for (int r = 0; r < MR; ++r) {
        const Lanes8 xv = load8(x + r * x_stride + i);
#pragma GCC unroll 16
        for (int c = 0; c < NR; ++c) acc[r][c] = fma8(xv, wv[c], acc[r][c]);
      }
    }
    if (k % 32 != 0) {
      const int rest = static_cast<int>(k - i);
#pragma GCC unroll 16
      for (int r = 0; r < MR; ++r) {
        const Lanes8 xv = load8_n(x + r * x_stride + i, rest);
#pragma GCC unroll 16
        for (int c = 0; c < NR; ++c) {
          acc[r][c] = fma8(xv, load8_n(w + c * w_stride + i, rest), acc[r][c]);
        }
      }
    }
#pragma GCC unroll 16
    for (int r = 0; r < MR; ++r) {
#pragma GCC unroll 16
      for (int c = 0; c < NR; ++c) part[group][r][c] = acc[r][c];
    }
  }
  for (int r = 0; r < MR; ++r) {
    for (int c = 0; c < NR; ++c) {
      const float y = join_groups(part[0][r][c], part[1][r][c], part[2][r][c], part[3][r][c]);
      out[r * out_stride + c] = bias != nullptr ? y + bias[c] : y;
    }
  }
}

/// Columns [n, n_end) of MR rows, NR at a time.
template <int MR, int NR, class T>
HAQ_INLINE void gemm_columns(const GemmArgs& a, const T* w, std::int64_t row, std::int64_t n,
                             std::int64_t n_end) {
  const float* x = a.x + row * a.x_stride;
  float* out = a.out + row * a.out_stride;
  const auto tile = [&]<int COLS>() {
    const float* bias = a.bias != nullptr ? a.bias + n : nullptr;
    if constexpr (kLaneGroups && MR > 1) {
      gemm_tile_groups<MR, COLS>(x, a.x_stride, w + n * a.k, a.k, a.k, bias, out + n, a.out_stride);
    } else {
      gemm_tile<MR, COLS>(x, a.x_stride, w + n * a.k, a.k, a.k, bias, out + n, a.out_stride);
    }
  };
  for (; n + NR <= n_end; n += NR) tile.template operator()<NR>();
  for (; n < n_end; ++n) tile.template operator()<1>();
}

template <class T>
void gemm(const GemmArgs& a) {
  // A panel of weight rows stays in the second-level cache while the rows of x pass by; a tile of x
  // stays in the first-level cache while it meets the panel.
  constexpr std::int64_t kPanel = 48;
  const T* w = static_cast<const T*>(a.w);
  for (std::int64_t n = a.n_begin; n < a.n_end; n += kPanel) {
    const std::int64_t n_end = n + kPanel < a.n_end ? n + kPanel : a.n_end;
    std::int64_t row = 0;
    if constexpr (kTileRows > 1) {
      for (; row + kTileRows <= a.m; row += kTileRows) {
        gemm_columns<kTileRows, kTileCols>(a, w, row, n, n_end);
      }
    }
    if constexpr (kTileRows > 2) {
      if (row + 2 <= a.m) {
        gemm_columns<2, kVecCols>(a, w, row, n, n_end);
        row += 2;
      }
    }
    for (; row < a.m; ++row) gemm_columns<1, kVecCols>(a, w, row, n, n_end);
  }
}

void gemm_bf16(const GemmArgs& a) {
  gemm<std::uint16_t>(a);
}
void gemm_f32(const GemmArgs& a) {
  gemm<float>(a);
}

}  // namespace
}  // namespace haq::device::host
