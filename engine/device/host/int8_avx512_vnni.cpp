// SPDX-License-Identifier: GPL-3.0-or-later
#include <immintrin.h>

#include <cstdint>

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

}  // namespace
}  // namespace haq::device::host

#include "engine/device/host/kernels_int8.h"
#include "engine/device/host/kernels_int8_panel.h"

namespace haq::device::host {
namespace {

/// From here on rewriting the weights costs less than it saves.
constexpr std::int64_t kManyRows = 12;

void gemm(const Int8GemmArgs& a) {
  if (a.m >= kManyRows && a.scratch != nullptr) {
    panel_gemm(a);
  } else {
    int8_gemm(a);
  }
}

}  // namespace

const Int8Table& avx512_vnni_int8() {
  static constexpr Int8Table kInt8{"avx512-vnni", gemm, kManyRows};
  return kInt8;
}

}  // namespace haq::device::host
