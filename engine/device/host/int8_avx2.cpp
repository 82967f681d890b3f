// SPDX-License-Identifier: GPL-3.0-or-later
#include <immintrin.h>

#include <cstdint>

#include "engine/device/numerics.h"

#define HAQ_INLINE [[gnu::always_inline]] inline

#include "engine/device/host/simd_bytes_256.h"

// Bytes are widened to 16 bits before the multiply: maddubs would saturate, and the sign trick
// fails for a weight of -128.
namespace haq::device::host {
namespace {

using IntLanes = __m256i;
using ByteLanes = __m256i;
constexpr int kStep = 16, kIntRows = 2, kIntCols = 4;
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
  const PaddedBytes<16> padded(p, n);
  return load_w(padded.bytes);
}
HAQ_INLINE IntLanes int_dot(IntLanes acc, ByteLanes w, ByteLanes x) {
  return _mm256_add_epi32(acc, _mm256_madd_epi16(w, x));
}
HAQ_INLINE IntLanes int_add(IntLanes a, IntLanes b) {
  return _mm256_add_epi32(a, b);
}
HAQ_INLINE std::int32_t int_join(IntLanes a) {
  return join_lanes_256(a);
}

}  // namespace
}  // namespace haq::device::host

#include "engine/device/host/kernels_int8.h"

namespace haq::device::host {

const Int8Table& avx2_int8() {
  static constexpr Int8Table kInt8{"avx2", int8_gemm, kIntRows};
  return kInt8;
}

}  // namespace haq::device::host
