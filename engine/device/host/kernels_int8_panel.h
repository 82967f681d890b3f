// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

// Exact int8 products of many rows with AVX512-VNNI. Included by int8_avx512_vnni.cpp only.
//
// The weights stay as the checkpoint has them. 64 columns at a time, and at most kInt8PanelDepth of
// their inputs, are rewritten into a panel [inputs / 4][64 columns][4 inputs] that stays in the
// second-level cache while all rows pass by; each row then needs one broadcast of four of its bytes
// for 64 products of four. Rewriting costs about one row's worth of work in ten, and meanwhile the
// next panel's weights are fetched from memory, line by line between the products.

#include <immintrin.h>

#include <utility>

#include "engine/device/host/kernels.h"

namespace haq::device::host {
namespace {

constexpr int kPanelVectors = kInt8PanelColumns / 16, kPanelRows = 6;
constexpr std::int64_t kPanelStep = 16;  ///< inputs between two looks at the prefetch

template <int I>
struct Index {
  HAQ_INLINE constexpr operator int() const { return I; }  // NOLINT: stands for its number
};

/// f(Index<0>), f(Index<1>) ...: a loop whose index is a constant expression from the start, so
/// that arrays of registers stay in registers.
template <int N, class F>
HAQ_INLINE void each(F f) {
  [&]<int... I>(std::integer_sequence<int, I...>) __attribute__((always_inline)) {
    (f(Index<I>{}), ...);
  }
  (std::make_integer_sequence<int, N>{});
}
#define HAQ_EACH(index) [&](auto index) __attribute__((always_inline))

/// Bytes [begin, begin + 64) of 16 rows of weights, as 16 groups of [16 rows][4 bytes], each
/// `group_stride` bytes after the one before. Rows and bytes that do not exist count as zero.
HAQ_INLINE void pack_64(const std::int8_t* w, std::int64_t stride, int rows, std::int64_t bytes,
                        std::uint8_t* out) {
  constexpr std::int64_t kGroup = kInt8PanelColumns * 4;
  const __m512i flip = _mm512_set1_epi8(-128);  // an unsigned byte: 128 more than the signed one
  const __mmask64 mask = bytes >= 64 ? ~__mmask64{0} : (__mmask64{1} << bytes) - 1;
  __m512i a[16], b[16];
  each<16>(HAQ_EACH(i) {
    a[i] = _mm512_xor_si512(
        _mm512_maskz_loadu_epi8(i < rows ? mask : 0, w + (i < rows ? i : 0) * stride), flip);
  });
  each<8>(HAQ_EACH(i) {
    b[2 * i] = _mm512_unpacklo_epi32(a[2 * i], a[2 * i + 1]);
    b[2 * i + 1] = _mm512_unpackhi_epi32(a[2 * i], a[2 * i + 1]);
  });
  // a[4 * i + j]: 128-bit lane l holds group 4 * l + j of rows 4 * i to 4 * i + 3.
  each<4>(HAQ_EACH(i) {
    a[4 * i] = _mm512_unpacklo_epi64(b[4 * i], b[4 * i + 2]);
    a[4 * i + 1] = _mm512_unpackhi_epi64(b[4 * i], b[4 * i + 2]);
    a[4 * i + 2] = _mm512_unpacklo_epi64(b[4 * i + 1], b[4 * i + 3]);
    a[4 * i + 3] = _mm512_unpackhi_epi64(b[4 * i + 1], b[4 * i + 3]);
  });
  each<4>(HAQ_EACH(j) {
    const __m512i p = _mm512_shuffle_i32x4(a[j], a[4 + j], 0x88);
    const __m512i q = _mm512_shuffle_i32x4(a[j], a[4 + j], 0xdd);
    const __m512i r = _mm512_shuffle_i32x4(a[8 + j], a[12 + j], 0x88);
    const __m512i s = _mm512_shuffle_i32x4(a[8 + j], a[12 + j], 0xdd);
    _mm512_store_si512(out + j * kGroup, _mm512_shuffle_i32x4(p, r, 0x88));
    _mm512_store_si512(out + (4 + j) * kGroup, _mm512_shuffle_i32x4(q, s, 0x88));
    _mm512_store_si512(out + (8 + j) * kGroup, _mm512_shuffle_i32x4(p, r, 0xdd));
    _mm512_store_si512(out + (12 + j) * kGroup, _mm512_shuffle_i32x4(q, s, 0xdd));
  });
}

/// One panel: columns [n, n + width), inputs [begin, begin + depth).
struct Panel {
  std::uint8_t* weights;
  std::int32_t* sums;  ///< [m][64], of the inputs before
  std::int64_t n, begin, depth;
  int width;
  bool first, last;  ///< of the panels of these columns

  void pack(const Int8GemmArgs& a) const {
    for (int c = 0; c < width; c += 16) {
      const std::int8_t* w = a.w + (n + c) * a.k + begin;
      for (std::int64_t i = 0; i < depth; i += 64) {
        pack_64(w + i, a.k, width - c, a.k - begin - i,
                weights + i * kInt8PanelColumns + c * std::int64_t{4});
      }
    }
  }
};

template <int MR>
HAQ_INLINE void panel_tile(const Int8GemmArgs& a, const Panel& panel, std::int64_t row,
                           Prefetcher& prefetch) {
  constexpr int kV = kPanelVectors;
  __m512i acc[MR * kV];
  const std::int8_t* x[MR];
  std::int32_t* sums = panel.sums + row * kInt8PanelColumns;
  each<MR>(HAQ_EACH(r) { x[r] = a.x + a.x_row(row + r) * a.x_stride + panel.begin; });
  if (panel.first) {
    each<MR * kV>(HAQ_EACH(i) { acc[i] = _mm512_setzero_si512(); });
  } else {
    each<MR * kV>(HAQ_EACH(i) { acc[i] = _mm512_load_si512(sums + 16 * i); });
  }
  const std::uint8_t* w = panel.weights;
  for (std::int64_t i = 0; i < panel.depth; i += kPanelStep) {
    prefetch.step();
    for (std::int64_t j = i; j < i + kPanelStep; j += 4, w += 64 * kV) {
      __m512i wv[kV];
      each<kV>(HAQ_EACH(c) { wv[c] = _mm512_load_si512(w + 64 * c); });
      each<MR>(HAQ_EACH(r) {
        const __m512i xv = _mm512_broadcastd_epi32(_mm_loadu_si32(x[r] + j));
        each<kV>(HAQ_EACH(c) { acc[r * kV + c] = int_dot(acc[r * kV + c], wv[c], xv); });
      });
    }
  }
  if (!panel.last) {
    each<MR * kV>(HAQ_EACH(i) { _mm512_store_si512(sums + 16 * i, acc[i]); });
    return;
  }
  each<MR>(HAQ_EACH(r) {
    const std::int64_t from = a.x_row(row + r);
    const __m512i correction = _mm512_set1_epi32(
        static_cast<std::int32_t>(static_cast<std::uint32_t>(a.x_sum[from]) * kWeightOffset));
    const __m512 sx = _mm512_set1_ps(a.x_scale[from]);
    float* out = a.out + a.out_row(row + r) * a.out_stride + panel.n;
    each<kV>(HAQ_EACH(c) {
      if (const int rest = panel.width - 16 * c; rest > 0) {
        const auto mask = static_cast<__mmask16>(rest >= 16 ? 0xffffU : (1U << rest) - 1U);
        const std::int64_t n = panel.n + 16 * c;
        const __m512 product =
            _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_sub_epi32(acc[r * kV + c], correction)), sx);
        const __m512 sw = _mm512_maskz_loadu_ps(mask, a.w_scale + n);
        const __m512 y = a.bias != nullptr
                             ? _mm512_fmadd_ps(product, sw, _mm512_maskz_loadu_ps(mask, a.bias + n))
                             : _mm512_mul_ps(product, sw);
        _mm512_mask_storeu_ps(out + 16 * c, mask, y);
      }
    });
  });
}

void panel_rows(const Int8GemmArgs& a, const Panel& panel, Prefetcher& prefetch) {
  // Tiles of nearly equal height.
  const std::int64_t tiles = (a.m + kPanelRows - 1) / kPanelRows;
  for (std::int64_t t = 0; t < tiles; ++t) {
    const std::int64_t row = a.m * t / tiles;
    switch (a.m * (t + 1) / tiles - row) {
      case 6:
        panel_tile<6>(a, panel, row, prefetch);
        break;
      case 5:
        panel_tile<5>(a, panel, row, prefetch);
        break;
      case 4:
        panel_tile<4>(a, panel, row, prefetch);
        break;
      case 3:
        panel_tile<3>(a, panel, row, prefetch);
        break;
      case 2:
        panel_tile<2>(a, panel, row, prefetch);
        break;
      default:
        panel_tile<1>(a, panel, row, prefetch);
        break;
    }
  }
}

void panel_gemm(const Int8GemmArgs& a) {
  const std::int64_t blocks = (a.k + kInt8PanelDepth - 1) / kInt8PanelDepth;
  const std::int64_t depth = ((a.k + blocks - 1) / blocks + 63) / 64 * 64;
  const std::int64_t tiles = (a.m + kPanelRows - 1) / kPanelRows;
  Panel panel{};
  panel.weights = reinterpret_cast<std::uint8_t*>(a.scratch);
  panel.sums = reinterpret_cast<std::int32_t*>(a.scratch + kInt8PanelColumns * kInt8PanelDepth);
  for (std::int64_t n = a.n_begin; n < a.n_end; n += kInt8PanelColumns) {
    panel.n = n;
    panel.width =
        static_cast<int>(a.n_end - n < kInt8PanelColumns ? a.n_end - n : kInt8PanelColumns);
    for (std::int64_t begin = 0; begin < a.k; begin += depth) {
      panel.begin = begin;
      panel.depth = a.k - begin < depth ? (a.k - begin + 63) / 64 * 64 : depth;
      panel.first = begin == 0;
      panel.last = begin + depth >= a.k;
      panel.pack(a);
      // What is read after this panel: more inputs, more columns or the next call's weights.
      const std::int64_t after = panel.last ? n + kInt8PanelColumns : n;
      const std::int64_t from = panel.last ? 0 : begin + depth;
      const std::int64_t bytes = a.k - from < depth ? a.k - from : depth;
      const bool here = after < a.n_end;
      const std::int64_t rows = here ? a.n_end - after : a.next_rows;
      Prefetcher prefetch(here ? a.w + after * a.k + from : a.next,
                          rows < kInt8PanelColumns ? rows : kInt8PanelColumns, bytes, a.k,
                          tiles * (panel.depth / kPanelStep));
      panel_rows(a, panel, prefetch);
    }
  }
}

#undef HAQ_EACH

}  // namespace
}  // namespace haq::device::host
