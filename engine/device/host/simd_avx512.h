// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

// Sixteen float lanes in one AVX-512 register. Included only by files compiled for AVX-512.

#include <immintrin.h>

#include <cstdint>

#include "engine/device/numerics.h"

#define HAQ_INLINE [[gnu::always_inline]] inline

namespace haq::device::host {
namespace {

using V16 = __m512;
using U16 = __m512i;

HAQ_INLINE __mmask16 first_lanes(int n) {
  return static_cast<__mmask16>(n >= 16 ? 0xffffU : n <= 0 ? 0U : (1U << n) - 1U);
}
HAQ_INLINE V16 set1(float value) {
  return _mm512_set1_ps(value);
}
HAQ_INLINE V16 zero() {
  return _mm512_setzero_ps();
}
HAQ_INLINE V16 load(const float* p) {
  return _mm512_loadu_ps(p);
}
HAQ_INLINE V16 load_n(const float* p, int n) {
  return _mm512_maskz_loadu_ps(first_lanes(n), p);
}
HAQ_INLINE V16 widen(__m256i b) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(b), 16));
}
HAQ_INLINE V16 load(const std::uint16_t* p) {
  return widen(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
HAQ_INLINE V16 load_n(const std::uint16_t* p, int n) {
  return widen(_mm256_maskz_loadu_epi16(first_lanes(n), p));
}
HAQ_INLINE void store(float* p, V16 a) {
  _mm512_storeu_ps(p, a);
}
HAQ_INLINE void store_n(float* p, V16 a, int n) {
  _mm512_mask_storeu_ps(p, first_lanes(n), a);
}
HAQ_INLINE void store_n(std::uint16_t* p, V16 a, int n) {
  // Not vcvtneps2bf16: that instruction flushes denormals.
  const __m512i b = _mm512_castps_si512(a);
  const __m512i high = _mm512_srli_epi32(b, 16);
  const __m512i odd = _mm512_and_si512(high, _mm512_set1_epi32(1));
  const __m512i rounded =
      _mm512_srli_epi32(_mm512_add_epi32(b, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff))), 16);
  const __mmask16 nan = _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q);
  const __m512i r = _mm512_mask_or_epi32(rounded, nan, high, _mm512_set1_epi32(0x40));
  _mm256_mask_storeu_epi16(p, first_lanes(n), _mm512_cvtepi32_epi16(r));
}
/// Integers nearest to a, ties to even.
HAQ_INLINE U16 nearest(V16 a) {
  return _mm512_cvtps_epi32(a);
}
HAQ_INLINE void store_bytes_n(std::int8_t* p, U16 a, int n) {
  _mm_mask_storeu_epi8(p, first_lanes(n), _mm512_cvtepi32_epi8(a));
}
HAQ_INLINE void store_n(std::int8_t* p, V16 v, int n) {
  store_bytes_n(p, nearest(v), n);
}
HAQ_INLINE V16 load_n(const std::int32_t* p, int n) {
  return _mm512_cvtepi32_ps(_mm512_maskz_loadu_epi32(first_lanes(n), p));
}
HAQ_INLINE V16 add(V16 a, V16 b) {
  return _mm512_add_ps(a, b);
}
HAQ_INLINE V16 sub(V16 a, V16 b) {
  return _mm512_sub_ps(a, b);
}
HAQ_INLINE V16 mul(V16 a, V16 b) {
  return _mm512_mul_ps(a, b);
}
HAQ_INLINE V16 div(V16 a, V16 b) {
  return _mm512_div_ps(a, b);
}
HAQ_INLINE V16 vmax(V16 a, V16 b) {
  return _mm512_max_ps(a, b);
}
HAQ_INLINE V16 vmin(V16 a, V16 b) {
  return _mm512_min_ps(a, b);
}
HAQ_INLINE V16 fma(V16 a, V16 b, V16 c) {
  return _mm512_fmadd_ps(a, b, c);
}
HAQ_INLINE V16 neg(V16 a) {
  return _mm512_castsi512_ps(
      _mm512_xor_si512(_mm512_castps_si512(a), _mm512_set1_epi32(INT32_MIN)));
}
HAQ_INLINE V16 keep_n(V16 a, int n) {
  return _mm512_maskz_mov_ps(first_lanes(n), a);
}
HAQ_INLINE V16 keep_range(V16 a, int begin, int end, V16 other) {
  const auto mask = static_cast<__mmask16>(first_lanes(end) & ~first_lanes(begin));
  return _mm512_mask_blend_ps(mask, other, a);
}
HAQ_INLINE U16 bits(V16 a) {
  return _mm512_castps_si512(a);
}
HAQ_INLINE U16 set1_bits(std::uint32_t value) {
  return _mm512_set1_epi32(static_cast<std::int32_t>(value));
}
HAQ_INLINE U16 and_bits(U16 a, U16 b) {
  return _mm512_and_si512(a, b);
}
HAQ_INLINE U16 max_bits(U16 a, U16 b) {
  return _mm512_max_epu32(a, b);
}
HAQ_INLINE U16 add_bits(U16 a, U16 b) {
  return _mm512_add_epi32(a, b);
}
HAQ_INLINE std::uint32_t join_add_bits(U16 a) {
  return static_cast<std::uint32_t>(_mm512_reduce_add_epi32(a));
}
HAQ_INLINE std::uint32_t join_max_bits(U16 a) {
  return _mm512_reduce_max_epu32(a);
}
HAQ_INLINE V16 scale_exp(V16 y, V16 shifted) {
  const __m512i n = _mm512_sub_epi32(_mm512_castps_si512(shifted),
                                     _mm512_castps_si512(_mm512_set1_ps(num::kRoundMagic)));
  const __m512i half = _mm512_srai_epi32(n, 1);
  const __m512i bias = _mm512_set1_epi32(127);
  const __m512i first = _mm512_slli_epi32(_mm512_add_epi32(half, bias), 23);
  const __m512i second = _mm512_slli_epi32(_mm512_add_epi32(_mm512_sub_epi32(n, half), bias), 23);
  return _mm512_mul_ps(_mm512_mul_ps(y, _mm512_castsi512_ps(first)), _mm512_castsi512_ps(second));
}
HAQ_INLINE float join(V16 a) {
  const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
HAQ_INLINE float join_max(V16 a) {
  const __m256 eight = _mm256_max_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}
HAQ_INLINE void prefetch(const void* p) {
  _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T0);
}

inline constexpr const char* kIsaName = "avx512";
inline constexpr bool kLaneGroups = false;
inline constexpr int kTileRows = 4, kTileCols = 3, kVecCols = 1, kAttentionTile = 4;

}  // namespace
}  // namespace haq::device::host
