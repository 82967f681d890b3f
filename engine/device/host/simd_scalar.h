// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

// Sixteen float lanes as plain loops: the reference that the vector versions must match bit for
// bit. Included by the scalar tables only.

#include <cstdint>

#include "engine/device/numerics.h"

#define HAQ_INLINE [[gnu::always_inline]] inline

namespace haq::device::host {
namespace {

struct V16 {
  float v[16];
};
struct U16 {
  std::uint32_t v[16];
};

#define HAQ_LANES for (int i = 0; i < 16; ++i)

HAQ_INLINE V16 set1(float value) {
  V16 r;
  HAQ_LANES r.v[i] = value;
  return r;
}
HAQ_INLINE V16 zero() {
  return set1(0.0F);
}
HAQ_INLINE V16 load(const float* p) {
  V16 r;
  HAQ_LANES r.v[i] = p[i];
  return r;
}
HAQ_INLINE V16 load_n(const float* p, int n) {
  V16 r;
  HAQ_LANES r.v[i] = i < n ? p[i] : 0.0F;
  return r;
}
HAQ_INLINE V16 load(const std::uint16_t* p) {
  V16 r;
  HAQ_LANES r.v[i] = num::from_bf16_bits(p[i]);
  return r;
}
HAQ_INLINE V16 load_n(const std::uint16_t* p, int n) {
  V16 r;
  HAQ_LANES r.v[i] = i < n ? num::from_bf16_bits(p[i]) : 0.0F;
  return r;
}
HAQ_INLINE void store(float* p, const V16& a) {
  HAQ_LANES p[i] = a.v[i];
}
HAQ_INLINE void store_n(float* p, const V16& a, int n) {
  for (int i = 0; i < n; ++i) p[i] = a.v[i];
}
HAQ_INLINE void store_n(std::uint16_t* p, const V16& a, int n) {
  for (int i = 0; i < n; ++i) p[i] = num::to_bf16_bits(a.v[i]);
}
/// Integers nearest to a (|a| < 128), ties to even.
HAQ_INLINE U16 nearest(const V16& a) {
  U16 r;
  HAQ_LANES r.v[i] = static_cast<std::uint32_t>(num::quantize(a.v[i], 1.0F));
  return r;
}
/// The low bytes.
HAQ_INLINE void store_bytes_n(std::int8_t* p, const U16& a, int n) {
  for (int i = 0; i < n; ++i) p[i] = static_cast<std::int8_t>(a.v[i]);
}
HAQ_INLINE void store_n(std::int8_t* p, const V16& v, int n) {
  store_bytes_n(p, nearest(v), n);
}
HAQ_INLINE V16 load_n(const std::int32_t* p, int n) {
  V16 r;
  HAQ_LANES r.v[i] = i < n ? static_cast<float>(p[i]) : 0.0F;
  return r;
}

#define HAQ_BINARY(name, expression)                \
  HAQ_INLINE V16 name(const V16& a, const V16& b) { \
    V16 r;                                          \
    HAQ_LANES r.v[i] = (expression);                \
    return r;                                       \
  }
HAQ_BINARY(add, a.v[i] + b.v[i])
HAQ_BINARY(sub, a.v[i] - b.v[i])
HAQ_BINARY(mul, a.v[i] * b.v[i])
HAQ_BINARY(div, a.v[i] / b.v[i])
HAQ_BINARY(vmax, num::max(a.v[i], b.v[i]))
HAQ_BINARY(vmin, num::min(a.v[i], b.v[i]))
#undef HAQ_BINARY

HAQ_INLINE V16 fma(const V16& a, const V16& b, const V16& c) {
  V16 r;
  HAQ_LANES r.v[i] = num::fma(a.v[i], b.v[i], c.v[i]);
  return r;
}
HAQ_INLINE V16 neg(const V16& a) {
  V16 r;
  HAQ_LANES r.v[i] = -a.v[i];
  return r;
}
HAQ_INLINE V16 keep_n(const V16& a, int n) {
  V16 r;
  HAQ_LANES r.v[i] = i < n ? a.v[i] : 0.0F;
  return r;
}
/// Lanes [begin, end) of a, `other` elsewhere.
HAQ_INLINE V16 keep_range(const V16& a, int begin, int end, const V16& other) {
  V16 r;
  HAQ_LANES r.v[i] = i >= begin && i < end ? a.v[i] : other.v[i];
  return r;
}
HAQ_INLINE U16 bits(const V16& a) {
  U16 r;
  HAQ_LANES r.v[i] = num::bits_of(a.v[i]);
  return r;
}
HAQ_INLINE U16 set1_bits(std::uint32_t value) {
  U16 r;
  HAQ_LANES r.v[i] = value;
  return r;
}
HAQ_INLINE U16 and_bits(const U16& a, const U16& b) {
  U16 r;
  HAQ_LANES r.v[i] = a.v[i] & b.v[i];
  return r;
}
HAQ_INLINE U16 max_bits(const U16& a, const U16& b) {
  U16 r;
  HAQ_LANES r.v[i] = a.v[i] > b.v[i] ? a.v[i] : b.v[i];
  return r;
}
HAQ_INLINE U16 add_bits(const U16& a, const U16& b) {
  U16 r;
  HAQ_LANES r.v[i] = a.v[i] + b.v[i];
  return r;
}
HAQ_INLINE std::uint32_t join_add_bits(const U16& a) {
  std::uint32_t s = 0;
  HAQ_LANES s += a.v[i];
  return s;
}
HAQ_INLINE std::uint32_t join_max_bits(const U16& a) {
  std::uint32_t m = a.v[0];
  HAQ_LANES m = a.v[i] > m ? a.v[i] : m;
  return m;
}
/// y * 2^n where `shifted` = n + kRoundMagic.
HAQ_INLINE V16 scale_exp(const V16& y, const V16& shifted) {
  V16 r;
  HAQ_LANES {
    const auto n =
        static_cast<std::int32_t>(num::bits_of(shifted.v[i]) - num::bits_of(num::kRoundMagic));
    const std::int32_t half = n >> 1;
    const float first = num::float_of((static_cast<std::uint32_t>(half) + 127U) << 23);
    const float second = num::float_of((static_cast<std::uint32_t>(n - half) + 127U) << 23);
    r.v[i] = y.v[i] * first * second;
  }
  return r;
}
/// p[j] += p[j + 8], + 4, + 2, + 1.
HAQ_INLINE float join(const V16& a) {
  float p[16];
  HAQ_LANES p[i] = a.v[i];
  for (int offset = 8; offset > 0; offset /= 2) {
    for (int j = 0; j < offset; ++j) p[j] = p[j] + p[j + offset];
  }
  return p[0];
}
HAQ_INLINE float join_max(const V16& a) {
  float m = a.v[0];
  for (int i = 1; i < 16; ++i) m = num::max(m, a.v[i]);
  return m;
}
HAQ_INLINE void prefetch(const void*) {}
#undef HAQ_LANES

inline constexpr const char* kIsaName = "scalar";
inline constexpr bool kLaneGroups = false;
inline constexpr int kTileRows = 2, kTileCols = 2, kVecCols = 4, kAttentionTile = 2;

}  // namespace
}  // namespace haq::device::host
