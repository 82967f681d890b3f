// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

// What kernels on 256-bit registers share. Included by files compiled for AVX2 or AVX-VNNI only,
// after HAQ_INLINE is defined.

#include <immintrin.h>

#include <cstdint>

namespace haq::device::host {
namespace {

HAQ_INLINE std::int32_t join_lanes_256(__m256i a) {
  __m128i s = _mm_add_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
  s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
  s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1));
  return _mm_cvtsi128_si32(s);
}

/// The first n bytes at p, zeros behind them; n < kBytes.
template <int kBytes>
struct PaddedBytes {
  alignas(32) std::int8_t bytes[kBytes] = {};
  HAQ_INLINE PaddedBytes(const std::int8_t* p, int n) {
    for (int i = 0; i < n; ++i) bytes[i] = p[i];
  }
};

}  // namespace
}  // namespace haq::device::host
