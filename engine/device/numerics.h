// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>

/// The numeric contract in code: every element-wise float step of the engine, written once for the
/// C++ compiler and nvcc. Every rounding is explicit (fused multiply-adds are spelled out,
/// contraction is off), so a step gives the same bits on every device. The vector kernels repeat
/// these operations lane by lane in the same order; tests compare them bit for bit.
///
/// Rules for reductions (every kernel of every device follows them):
///
/// * Dot product over K: 32 interleaved partial sums. x and w count as padded with +0 to a multiple
///   of 32; p[j] = fma(x[k], w[k], p[j]) for k = j, j + 32, ... in ascending order, from +0. Join:
///   p[j] += p[j + 16] (j < 16), then + 8, + 4, + 2, + 1. A bias is added last by a plain addition.
/// * Sum over K: the same lanes and tree with p[j] += x[k].
/// * RMS norm: s = dot(x, x); r = 1 / sqrt(s / n + eps); y = (x * r) * w.
/// * Layer norm: mean = sum(x) / n; d = x - mean (+0 in the padding); v = dot(d, d);
///   r = 1 / sqrt(v / n + eps); y = fma(d * r, w, b), without a bias (d * r) * w.
/// * Softmax over keys: s = dot(q, k) * scale; m = exact maximum over the visible keys (and the
/// sink
///   logit); e = exp(s - m), +0 for a key that is not visible. Keys are cut into blocks of 64 at
///   multiples of 64 of their absolute position. Denominator: sum of a block by the 32-lane rule
///   with lane = key mod 32; blocks are added in ascending order from +0; the sink's exp(sink - m)
///   last. Weighted sum of V: within a block acc = fma(e, v, acc) over ascending keys from +0;
///   blocks are added in ascending order from +0. Result = total * (1 / denominator).
/// * Router softmax: m = maximum, e = exp(l - m), d = sum(e), p = e * (1 / d). Normalisation over
/// the
///   chosen: w / sum(chosen in order). Choice: larger logit first, equal logits: lower id first.
/// * Weighted sum over the chosen experts: acc = fma(weight, y, acc) over ascending choices from
/// +0.
///
/// Bits of a NaN are not part of the contract (only that there is one).

#if defined(__CUDACC__)
#define HAQ_HD __host__ __device__ __forceinline__
#else
// always_inline: a copy of such a function compiled for a newer instruction set must never be
// chosen by the linker for code that runs on an older processor.
#define HAQ_HD [[gnu::always_inline]] inline
#endif

namespace haq::device::num {

inline constexpr int kLanes = 32;     ///< interleaved partial sums of a dot product
inline constexpr int kKeyBlock = 64;  ///< keys per block of the softmax and weighted sum

HAQ_HD std::uint32_t bits_of(float value) {
#if defined(__CUDA_ARCH__)
  return __float_as_uint(value);
#else
  return __builtin_bit_cast(std::uint32_t, value);
#endif
}

HAQ_HD float float_of(std::uint32_t bits) {
#if defined(__CUDA_ARCH__)
  return __uint_as_float(bits);
#else
  return __builtin_bit_cast(float, bits);
#endif
}

HAQ_HD float fma(float a, float b, float c) {
#if defined(__CUDA_ARCH__)
  return __fmaf_rn(a, b, c);
#else
  return __builtin_fmaf(a, b, c);
#endif
}

HAQ_HD float mul(float a, float b) {
#if defined(__CUDA_ARCH__)
  return __fmul_rn(a, b);
#else
  return a * b;
#endif
}

HAQ_HD float add(float a, float b) {
#if defined(__CUDA_ARCH__)
  return __fadd_rn(a, b);
#else
  return a + b;
#endif
}

HAQ_HD float sub(float a, float b) {
#if defined(__CUDA_ARCH__)
  return __fsub_rn(a, b);
#else
  return a - b;
#endif
}

HAQ_HD float div(float a, float b) {
#if defined(__CUDA_ARCH__)
  return __fdiv_rn(a, b);
#else
  return a / b;
#endif
}

HAQ_HD float sqrt(float a) {
#if defined(__CUDA_ARCH__)
  return __fsqrt_rn(a);
#else
  return __builtin_sqrtf(a);
#endif
}

/// The second operand when the comparison is false, as x86's maxps and minps: a NaN in b is kept.
HAQ_HD float max(float a, float b) {
  return a > b ? a : b;
}
HAQ_HD float min(float a, float b) {
  return a < b ? a : b;
}

/// bfloat16 bits, round to nearest even; a NaN stays one.
HAQ_HD std::uint16_t to_bf16_bits(float value) {
  const std::uint32_t bits = bits_of(value);
  if ((bits & 0x7fffffffU) > 0x7f800000U) {
    return static_cast<std::uint16_t>((bits >> 16) | 0x40U);
  }
  return static_cast<std::uint16_t>((bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16);
}

HAQ_HD float from_bf16_bits(std::uint16_t bits) {
  return float_of(static_cast<std::uint32_t>(bits) << 16);
}

// exp: x = n ln2 + r with n = round(x / ln2), |r| <= ln2 / 2; exp(r) by its Taylor series up to r^7
// (remainder below 6e-9 of the result); scaled by 2^n in two exact steps. At most 1.1 ulp off where
// the result is normal; 0 for x <= -104 (and -inf), inf for x >= 89, NaN for NaN.
inline constexpr float kExpLow = -104.0F;
inline constexpr float kExpHigh = 89.0F;
inline constexpr float kLog2E = 0x1.715476p+0F;
inline constexpr float kLn2High = 0x1.62e400p-1F;  ///< 14 trailing zero bits: n * kLn2High is exact
inline constexpr float kLn2Low = 0x1.7f7d1cp-20F;
inline constexpr float kRoundMagic = 12582912.0F;  ///< 1.5 * 2^23: x + magic rounds x to an integer
inline constexpr float kExpC7 = 0x1.a01a02p-13F;   ///< 1/7!
inline constexpr float kExpC6 = 0x1.6c16c2p-10F;   ///< 1/6!
inline constexpr float kExpC5 = 0x1.111112p-7F;    ///< 1/5!
inline constexpr float kExpC4 = 0x1.555556p-5F;    ///< 1/4!
inline constexpr float kExpC3 = 0x1.555556p-3F;    ///< 1/3!
inline constexpr float kExpC2 = 0.5F;

HAQ_HD float exp(float x) {
  x = max(kExpLow, min(kExpHigh, x));
  const float shifted = fma(x, kLog2E, kRoundMagic);
  const float n = sub(shifted, kRoundMagic);
  float r = fma(n, -kLn2High, x);
  r = fma(n, -kLn2Low, r);
  float q = fma(kExpC7, r, kExpC6);
  q = fma(q, r, kExpC5);
  q = fma(q, r, kExpC4);
  q = fma(q, r, kExpC3);
  q = fma(q, r, kExpC2);
  const float y = add(fma(mul(r, r), q, r), 1.0F);
  const auto exponent = static_cast<std::int32_t>(bits_of(shifted) - bits_of(kRoundMagic));
  const std::int32_t half = exponent >> 1;
  const float first = float_of((static_cast<std::uint32_t>(half) + 127U) << 23);
  const float second = float_of((static_cast<std::uint32_t>(exponent - half) + 127U) << 23);
  return mul(mul(y, first), second);
}

HAQ_HD float sigmoid(float x) {
  return div(1.0F, add(1.0F, exp(-x)));
}
HAQ_HD float silu(float x) {
  return div(x, add(1.0F, exp(-x)));
}
HAQ_HD float relu(float x) {
  return max(0.0F, x);
}

HAQ_HD float swiglu(float gate, float up) {
  return mul(silu(gate), up);
}

/// gpt-oss: gate clamped above only, up on both sides; (up + 1) * gate * sigmoid(1.702 gate).
HAQ_HD float gpt_oss_glu(float gate, float up, float limit) {
  const float g = min(limit, gate);
  const float u = max(-limit, min(limit, up));
  const float glu = div(g, add(1.0F, exp(mul(-1.702F, g))));
  return mul(add(u, 1.0F), glu);
}

/// Rotates (a, b) by the angle with cosine c and sine s.
HAQ_HD float rotate_first(float a, float b, float c, float s) {
  return fma(a, c, -mul(b, s));
}
HAQ_HD float rotate_second(float a, float b, float c, float s) {
  return fma(b, c, mul(a, s));
}

/// Rows whose largest magnitude lies below this quantize to zeros.
inline constexpr float kTinyRow = 0x1p-100F;

/// Per-row int8 quantization: scale of a row whose largest magnitude is m (0 for a tiny row), and
/// the factor that its elements are multiplied with.
HAQ_HD float quant_scale(float m) {
  return m < kTinyRow ? 0.0F : div(m, 127.0F);
}
HAQ_HD float quant_factor(float m) {
  return m < kTinyRow ? 0.0F : div(127.0F, m);
}

/// rint(x * factor), ties to even; |x * factor| is at most 127 (1 + 2^-23).
HAQ_HD std::int8_t quantize(float x, float factor) {
  const float shifted = add(mul(x, factor), kRoundMagic);
  return static_cast<std::int8_t>(
      static_cast<std::int32_t>(bits_of(shifted) - bits_of(kRoundMagic)));
}

/// Epilogue of an int8 product.
HAQ_HD float dequantize(std::int32_t acc, float sx, float sw) {
  return mul(mul(static_cast<float>(acc), sx), sw);
}
HAQ_HD float dequantize(std::int32_t acc, float sx, float sw, float bias) {
  return fma(mul(static_cast<float>(acc), sx), sw, bias);
}

/// Join of 32 partial sums.
HAQ_HD float join_lanes(float* p) {
  for (int offset = kLanes / 2; offset > 0; offset /= 2) {
    for (int j = 0; j < offset; ++j) p[j] = add(p[j], p[j + offset]);
  }
  return p[0];
}

}  // namespace haq::device::num
