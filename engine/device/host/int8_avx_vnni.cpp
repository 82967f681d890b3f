// SPDX-License-Identifier: GPL-3.0-or-later
#include <immintrin.h>

#include <cstdint>

#include "engine/device/numerics.h"

#define HAQ_INLINE [[gnu::always_inline]] inline

#include "engine/device/host/simd_bytes_256.h"

// vpdpbusd multiplies unsigned by signed bytes: weights are shifted by 128 (a flipped top bit),
// which holds for -128 too, and 128 times the row's sum is taken off at the end.
namespace haq::device::host {
namespace {

using IntLanes = __m256i;
using ByteLanes = __m256i;
constexpr int kStep = 32, kIntRows = 2, kIntCols = 4;
constexpr std::uint32_t kWeightOffset = 128;

HAQ_INLINE IntLanes int_zero() {
  return _mm256_setzero_si256();
}
HAQ_INLINE ByteLanes load_x(const std::int8_t* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}
HAQ_INLINE ByteLanes load_w(const std::int8_t* p) {
  return _mm256_xor_si256(load_x(p), _mm256_set1_epi8(-128));
}
HAQ_INLINE ByteLanes load_w_n(const std::int8_t* p, int n) {
  const PaddedBytes<32> padded(p, n);
  return load_w(padded.bytes);
}
HAQ_INLINE IntLanes int_dot(IntLanes acc, ByteLanes w, ByteLanes x) {
  // Not the intrinsic: g++ 12 copies its accumulator from register to register.
  __asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(acc) : "x"(w), "x"(x));
  return acc;
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

const Int8Table& avx_vnni_int8() {
  static constexpr Int8Table kInt8{"avx-vnni", int8_gemm, kIntRows};
  return kInt8;
}

}  // namespace haq::device::host
