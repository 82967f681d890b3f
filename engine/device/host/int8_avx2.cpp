// SPDX-License-Identifier: GPL-3.0-or-later
#include <immintrin.h>

#include <cstdint>

#include "engine/device/numerics.h"

#define HAQ_INLINE [[gnu::always_inline]] inline

// Bytes are widened to 16 bits before the multiply: maddubs would saturate, and the sign trick
// fails for a weight of -128.
namespace haq::device::host {
namespace {

using IntLanes = __m256i;
using ByteLanes = __m256i;
constexpr int kStep = 16, kIntRows = 2, kIntCols = 4, kIntVecCols = 4;
constexpr std::uint32_t kWeightOffset = 0;

HAQ_INLINE IntLanes int_zero() {
  return _mm256_setzero_si256();
}
HAQ_INLINE ByteLanes load_x(const std::int8_t* p) {
  return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
HAQ_INLINE ByteLanes load_w(const std::int8_t* p) {
  return load_x(p);
}
HAQ_INLINE ByteLanes load_w_n(const std::int8_t* p, int n) {
  alignas(16) std::int8_t padded[16] = {};
  for (int i = 0; i < n; ++i) padded[i] = p[i];
  return load_x(padded);
}
HAQ_INLINE IntLanes int_dot(IntLanes acc, ByteLanes w, ByteLanes x) {
  return _mm256_add_epi32(acc, _mm256_madd_epi16(w, x));
}
HAQ_INLINE std::int32_t int_join(IntLanes a) {
  __m128i s = _mm_add_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
  s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
  s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1));
  return _mm_cvtsi128_si32(s);
}

}  // namespace
}  // namespace haq::device::host

#include "engine/device/host/kernels_int8.h"

namespace haq::device::host {

const Int8Table& avx2_int8() {
  static constexpr Int8Table kInt8{"avx2", int8_gemm};
  return kInt8;
}

}  // namespace haq::device::host
