// SPDX-License-Identifier: GPL-3.0-or-later
#include <immintrin.h>

#include <cstdint>

#include "engine/device/host/kernels.h"
#include "engine/device/numerics.h"

#define HAQ_INLINE [[gnu::always_inline]] inline

// As int8_avx_vnni.cpp, 64 bytes at a time.
namespace haq::device::host {
namespace {

using IntLanes = __m512i;
using ByteLanes = __m512i;
constexpr int kStep = 64, kIntRows = 4, kIntCols = 4;
constexpr std::uint32_t kWeightOffset = 128;

HAQ_INLINE IntLanes int_zero() {
  return _mm512_setzero_si512();
}
HAQ_INLINE ByteLanes load_x(const std::int8_t* p) {
  return _mm512_loadu_si512(p);
}
HAQ_INLINE ByteLanes load_w(const std::int8_t* p) {
  return _mm512_xor_si512(_mm512_loadu_si512(p), _mm512_set1_epi8(-128));
}
HAQ_INLINE ByteLanes load_w_n(const std::int8_t* p, int n) {
  const __mmask64 mask = (std::uint64_t{1} << n) - 1;  // n < 64
  return _mm512_xor_si512(_mm512_maskz_loadu_epi8(mask, p), _mm512_set1_epi8(-128));
}
HAQ_INLINE IntLanes int_dot(IntLanes acc, ByteLanes w, ByteLanes x) {
  // Not the intrinsic: g++ 12 copies its accumulator from register to register.
  __asm__("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(w), "v"(x));
  return acc;
}
HAQ_INLINE IntLanes int_add(IntLanes a, IntLanes b) {
  return _mm512_add_epi32(a, b);
}
HAQ_INLINE std::int32_t int_join(IntLanes a) {
  return _mm512_reduce_add_epi32(a);
}

/// The sums of 16 registers, in their order: each step adds halves while it interleaves two of
/// them.
HAQ_INLINE IntLanes int_join_16(const IntLanes (&a)[4][4]) {
  IntLanes b[8], c[4], d[2];
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) {
    const IntLanes first = a[i / 2][i % 2 * 2], second = a[i / 2][i % 2 * 2 + 1];
    b[i] = _mm512_add_epi32(_mm512_unpacklo_epi32(first, second),
                            _mm512_unpackhi_epi32(first, second));
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    c[i] = _mm512_add_epi32(_mm512_unpacklo_epi64(b[2 * i], b[2 * i + 1]),
                            _mm512_unpackhi_epi64(b[2 * i], b[2 * i + 1]));
  }
#pragma GCC unroll 2
  for (int i = 0; i < 2; ++i) {
    d[i] = _mm512_add_epi32(_mm512_shuffle_i32x4(c[2 * i], c[2 * i + 1], 0x44),
                            _mm512_shuffle_i32x4(c[2 * i], c[2 * i + 1], 0xee));
  }
  return _mm512_add_epi32(_mm512_shuffle_i32x4(d[0], d[1], 0x88),
                          _mm512_shuffle_i32x4(d[0], d[1], 0xdd));
}

/// Dequantizes a tile of four rows and four columns together.
HAQ_INLINE void int8_store_tile(const Int8GemmArgs& a, std::int64_t row, std::int64_t n,
                                const IntLanes (&acc)[4][4]) {
  alignas(64) std::int32_t correction[16];
  alignas(64) float scale[16];
#pragma GCC unroll 4
  for (int r = 0; r < 4; ++r) {
    const std::int64_t from = a.x_row(row + r);
    const std::uint32_t excess = static_cast<std::uint32_t>(a.x_sum[from]) * kWeightOffset;
    _mm_store_si128(reinterpret_cast<__m128i*>(correction + 4 * r),
                    _mm_set1_epi32(static_cast<std::int32_t>(excess)));
    _mm_store_ps(scale + 4 * r, _mm_set1_ps(a.x_scale[from]));
  }
  const __m512i sums = _mm512_sub_epi32(int_join_16(acc), _mm512_load_si512(correction));
  const __m512 product = _mm512_mul_ps(_mm512_cvtepi32_ps(sums), _mm512_load_ps(scale));
  const __m512 sw = _mm512_broadcast_f32x4(_mm_loadu_ps(a.w_scale + n));
  alignas(64) float y[16];
  _mm512_store_ps(
      y, a.bias != nullptr
             ? _mm512_fmadd_ps(product, sw, _mm512_broadcast_f32x4(_mm_loadu_ps(a.bias + n)))
             : _mm512_mul_ps(product, sw));
#pragma GCC unroll 4
  for (int r = 0; r < 4; ++r) {
    _mm_storeu_ps(a.out + a.out_row(row + r) * a.out_stride + n, _mm_load_ps(y + 4 * r));
  }
}

}  // namespace
}  // namespace haq::device::host

#include "engine/device/host/kernels_int8.h"
#include "engine/device/host/kernels_int8_panel.h"

namespace haq::device::host {
namespace {

/// From these rows on rewriting the weights costs less than it saves; earlier where each load of
/// unaligned weights touches two cache lines.
constexpr std::int64_t kManyRows = 28, kManyRowsUnaligned = 12;

void gemm(const Int8GemmArgs& a) {
  const bool aligned =
      (reinterpret_cast<std::uintptr_t>(a.w) | static_cast<std::uintptr_t>(a.k)) % 64 == 0;
  if (a.m >= (aligned ? kManyRows : kManyRowsUnaligned) && a.scratch != nullptr) {
    panel_gemm(a);
  } else {
    int8_gemm(a);
  }
}

}  // namespace

const Int8Table& avx512_vnni_int8() {
  static constexpr Int8Table kInt8{"avx512-vnni", gemm, kManyRowsUnaligned};
  return kInt8;
}

}  // namespace haq::device::host
