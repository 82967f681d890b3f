// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

// Sixteen float lanes in two AVX2 registers. Included only by files compiled for AVX2.

#include <immintrin.h>

#include <cstdint>
#include <cstring>

#include "engine/device/numerics.h"

#define HAQ_INLINE [[gnu::always_inline]] inline

#include "engine/device/host/simd_bytes_256.h"

namespace haq::device::host {
namespace {

struct V16 {
  __m256 a, b;
};
struct U16 {
  __m256i a, b;
};

HAQ_INLINE __m256i lane_numbers() {
  return _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
}
/// All ones in lanes below n (n may exceed 8 or be negative).
HAQ_INLINE __m256i first_lanes(int n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), lane_numbers());
}
HAQ_INLINE V16 set1(float value) {
  return {_mm256_set1_ps(value), _mm256_set1_ps(value)};
}
HAQ_INLINE V16 zero() {
  return {_mm256_setzero_ps(), _mm256_setzero_ps()};
}
HAQ_INLINE V16 load(const float* p) {
  return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)};
}
HAQ_INLINE V16 load_n(const float* p, int n) {
  if (n >= 16) return load(p);
  if (n <= 8) return {_mm256_maskload_ps(p, first_lanes(n)), _mm256_setzero_ps()};
  return {_mm256_loadu_ps(p), _mm256_maskload_ps(p + 8, first_lanes(n - 8))};
}
HAQ_INLINE __m256 widen(__m128i h) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(h), 16));
}
HAQ_INLINE V16 load(const std::uint16_t* p) {
  return {widen(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))),
          widen(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 8)))};
}
HAQ_INLINE V16 load_n(const std::uint16_t* p, int n) {
  if (n >= 16) return load(p);
  std::uint16_t padded[16] = {};
  for (int i = 0; i < n; ++i) padded[i] = p[i];
  return load(padded);
}
HAQ_INLINE void store(float* p, const V16& v) {
  _mm256_storeu_ps(p, v.a);
  _mm256_storeu_ps(p + 8, v.b);
}
HAQ_INLINE void store_n(float* p, const V16& v, int n) {
  if (n >= 16) return store(p, v);
  if (n <= 8) return _mm256_maskstore_ps(p, first_lanes(n), v.a);
  _mm256_storeu_ps(p, v.a);
  _mm256_maskstore_ps(p + 8, first_lanes(n - 8), v.b);
}
HAQ_INLINE __m256i to_bf16_words(__m256 v) {
  const __m256i b = _mm256_castps_si256(v);
  const __m256i high = _mm256_srli_epi32(b, 16);
  const __m256i odd = _mm256_and_si256(high, _mm256_set1_epi32(1));
  const __m256i rounded =
      _mm256_srli_epi32(_mm256_add_epi32(b, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff))), 16);
  const __m256i quiet = _mm256_or_si256(high, _mm256_set1_epi32(0x40));
  const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(v, v, _CMP_UNORD_Q));
  return _mm256_blendv_epi8(rounded, quiet, nan);
}
HAQ_INLINE __m256i pack_words(__m256i a, __m256i b) {
  return _mm256_permute4x64_epi64(_mm256_packus_epi32(a, b), 0xd8);
}
HAQ_INLINE void store_n(std::uint16_t* p, const V16& v, int n) {
  const __m256i words = pack_words(to_bf16_words(v.a), to_bf16_words(v.b));
  if (n >= 16) return _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), words);
  alignas(32) std::uint16_t out[16];
  _mm256_store_si256(reinterpret_cast<__m256i*>(out), words);
  for (int i = 0; i < n; ++i) p[i] = out[i];
}
/// Integers nearest to v, ties to even.
HAQ_INLINE U16 nearest(const V16& v) {
  return {_mm256_cvtps_epi32(v.a), _mm256_cvtps_epi32(v.b)};
}
/// Integers of eight bits.
HAQ_INLINE void store_bytes_n(std::int8_t* p, const U16& v, int n) {
  const __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(v.a, v.b), 0xd8);
  alignas(16) std::int8_t out[16];
  const __m128i bytes =
      _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
  if (n >= 16) return _mm_storeu_si128(reinterpret_cast<__m128i*>(p), bytes);
  _mm_store_si128(reinterpret_cast<__m128i*>(out), bytes);
  for (int i = 0; i < n; ++i) p[i] = out[i];
}
HAQ_INLINE void store_n(std::int8_t* p, const V16& v, int n) {
  store_bytes_n(p, nearest(v), n);
}
HAQ_INLINE V16 load_n(const std::int32_t* p, int n) {
  const __m256i a = n >= 8 ? _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))
                           : _mm256_maskload_epi32(p, first_lanes(n));
  const __m256i b =
      n > 8 ? _mm256_maskload_epi32(p + 8, first_lanes(n - 8)) : _mm256_setzero_si256();
  return {_mm256_cvtepi32_ps(a), _mm256_cvtepi32_ps(b)};
}
HAQ_INLINE V16 add(const V16& x, const V16& y) {
  return {_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b)};
}
HAQ_INLINE V16 sub(const V16& x, const V16& y) {
  return {_mm256_sub_ps(x.a, y.a), _mm256_sub_ps(x.b, y.b)};
}
HAQ_INLINE V16 mul(const V16& x, const V16& y) {
  return {_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)};
}
HAQ_INLINE V16 div(const V16& x, const V16& y) {
  return {_mm256_div_ps(x.a, y.a), _mm256_div_ps(x.b, y.b)};
}
HAQ_INLINE V16 vmax(const V16& x, const V16& y) {
  return {_mm256_max_ps(x.a, y.a), _mm256_max_ps(x.b, y.b)};
}
HAQ_INLINE V16 vmin(const V16& x, const V16& y) {
  return {_mm256_min_ps(x.a, y.a), _mm256_min_ps(x.b, y.b)};
}
HAQ_INLINE V16 fma(const V16& x, const V16& y, const V16& z) {
  return {_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)};
}
HAQ_INLINE V16 neg(const V16& x) {
  const __m256 sign = _mm256_set1_ps(-0.0F);
  return {_mm256_xor_ps(x.a, sign), _mm256_xor_ps(x.b, sign)};
}
HAQ_INLINE V16 keep_n(const V16& x, int n) {
  return {_mm256_and_ps(x.a, _mm256_castsi256_ps(first_lanes(n))),
          _mm256_and_ps(x.b, _mm256_castsi256_ps(first_lanes(n - 8)))};
}
HAQ_INLINE V16 keep_range(const V16& x, int begin, int end, const V16& other) {
  const __m256i a = _mm256_andnot_si256(first_lanes(begin), first_lanes(end));
  const __m256i b = _mm256_andnot_si256(first_lanes(begin - 8), first_lanes(end - 8));
  return {_mm256_blendv_ps(other.a, x.a, _mm256_castsi256_ps(a)),
          _mm256_blendv_ps(other.b, x.b, _mm256_castsi256_ps(b))};
}
HAQ_INLINE U16 bits(const V16& x) {
  return {_mm256_castps_si256(x.a), _mm256_castps_si256(x.b)};
}
HAQ_INLINE U16 set1_bits(std::uint32_t value) {
  const __m256i v = _mm256_set1_epi32(static_cast<std::int32_t>(value));
  return {v, v};
}
HAQ_INLINE U16 and_bits(const U16& x, const U16& y) {
  return {_mm256_and_si256(x.a, y.a), _mm256_and_si256(x.b, y.b)};
}
HAQ_INLINE U16 max_bits(const U16& x, const U16& y) {
  return {_mm256_max_epu32(x.a, y.a), _mm256_max_epu32(x.b, y.b)};
}
HAQ_INLINE U16 add_bits(const U16& x, const U16& y) {
  return {_mm256_add_epi32(x.a, y.a), _mm256_add_epi32(x.b, y.b)};
}
HAQ_INLINE std::uint32_t join_add_bits(const U16& x) {
  return static_cast<std::uint32_t>(join_lanes_256(_mm256_add_epi32(x.a, x.b)));
}
HAQ_INLINE std::uint32_t join_max_bits(const U16& x) {
  const __m256i eight = _mm256_max_epu32(x.a, x.b);
  __m128i m = _mm_max_epu32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
  m = _mm_max_epu32(m, _mm_shuffle_epi32(m, 0x4e));
  m = _mm_max_epu32(m, _mm_shuffle_epi32(m, 0xb1));
  return static_cast<std::uint32_t>(_mm_cvtsi128_si32(m));
}
HAQ_INLINE __m256 scale_exp8(__m256 y, __m256 shifted) {
  const __m256i n = _mm256_sub_epi32(_mm256_castps_si256(shifted),
                                     _mm256_castps_si256(_mm256_set1_ps(num::kRoundMagic)));
  const __m256i half = _mm256_srai_epi32(n, 1);
  const __m256i bias = _mm256_set1_epi32(127);
  const __m256i first = _mm256_slli_epi32(_mm256_add_epi32(half, bias), 23);
  const __m256i second = _mm256_slli_epi32(_mm256_add_epi32(_mm256_sub_epi32(n, half), bias), 23);
  return _mm256_mul_ps(_mm256_mul_ps(y, _mm256_castsi256_ps(first)), _mm256_castsi256_ps(second));
}
HAQ_INLINE V16 scale_exp(const V16& y, const V16& shifted) {
  return {scale_exp8(y.a, shifted.a), scale_exp8(y.b, shifted.b)};
}
HAQ_INLINE float join(const V16& x) {
  const __m256 eight = _mm256_add_ps(x.a, x.b);
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
HAQ_INLINE float join_max(const V16& x) {
  const __m256 eight = _mm256_max_ps(x.a, x.b);
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}
HAQ_INLINE void prefetch(const void* p) {
  _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T0);
}

// Eight of the 32 partial sums: sixteen registers hold a tile of 4 x 3 outputs only for one such
// group at a time (kernels_gemm.h).
using V8 = __m256;
HAQ_INLINE V8 load8(const float* p) {
  return _mm256_loadu_ps(p);
}
HAQ_INLINE V8 load8(const std::uint16_t* p) {
  return widen(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
/// The first n elements (n may be negative or above 8), zero elsewhere.
template <class T>
HAQ_INLINE V8 load8_n(const T* p, int n) {
  T padded[8] = {};
  for (int i = 0; i < (n < 8 ? n : 8); ++i) padded[i] = p[i];
  return load8(padded);
}
HAQ_INLINE V8 fma8(V8 x, V8 y, V8 z) {
  return _mm256_fmadd_ps(x, y, z);
}
HAQ_INLINE float join_groups(V8 a, V8 b, V8 c, V8 d) {
  return join(add(V16{a, b}, V16{c, d}));
}

inline constexpr const char* kIsaName = "avx2";
inline constexpr bool kLaneGroups = true;
inline constexpr int kTileRows = 4, kTileCols = 3, kVecCols = 2, kAttentionTile = 2;

}  // namespace
}  // namespace haq::device::host
