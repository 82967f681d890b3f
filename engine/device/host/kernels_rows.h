// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

// Element-wise steps, norms, softmax and quantization of rows for whichever V16 was included
// before. Every function mirrors its scalar twin in engine/device/numerics.h operation by
// operation.

#include "engine/device/host/kernels.h"

namespace haq::device::host {
namespace {

HAQ_INLINE V16 vexp(V16 x) {
  x = vmax(set1(num::kExpLow), vmin(set1(num::kExpHigh), x));
  const V16 shifted = fma(x, set1(num::kLog2E), set1(num::kRoundMagic));
  const V16 n = sub(shifted, set1(num::kRoundMagic));
  V16 r = fma(n, set1(-num::kLn2High), x);
  r = fma(n, set1(-num::kLn2Low), r);
  V16 q = fma(set1(num::kExpC7), r, set1(num::kExpC6));
  q = fma(q, r, set1(num::kExpC5));
  q = fma(q, r, set1(num::kExpC4));
  q = fma(q, r, set1(num::kExpC3));
  q = fma(q, r, set1(num::kExpC2));
  const V16 y = add(fma(mul(r, r), q, r), set1(1.0F));
  return scale_exp(y, shifted);
}

/// Calls body(offset, count) for runs of at most 16 elements.
template <class Body>
HAQ_INLINE void for_each_16(std::int64_t n, Body body) {
  std::int64_t i = 0;
  for (; i + 16 <= n; i += 16) body(i, 16);
  if (i < n) body(i, static_cast<int>(n - i));
}

/// Two V16 of partial sums: body(offset, count) returns the addend of one run; `step` folds it in.
template <class Step>
HAQ_INLINE float reduce_32(std::int64_t n, Step step) {
  V16 low = zero(), high = zero();
  std::int64_t i = 0;
  for (; i + 32 <= n; i += 32) {
    low = step(low, i, 16);
    high = step(high, i + 16, 16);
  }
  if (const int rest = static_cast<int>(n - i); rest > 0) {
    low = step(low, i, rest < 16 ? rest : 16);
    high = step(high, i + 16, rest < 16 ? 0 : rest - 16);
  }
  return join(add(low, high));
}

/// load_n that never forms a load for an empty run.
HAQ_INLINE V16 load_run(const float* p, std::int64_t offset, int n) {
  return n == 16 ? load(p + offset) : n > 0 ? load_n(p + offset, n) : zero();
}

float sum(const float* x, std::int64_t n) {
  return reduce_32(n, [&](V16 p, std::int64_t i, int run) { return add(p, load_run(x, i, run)); });
}

void rms_norm(const float* x, const float* weight, float eps, std::int64_t n, float* out) {
  const float squares = reduce_32(n, [&](V16 p, std::int64_t i, int run) {
    const V16 v = load_run(x, i, run);
    return fma(v, v, p);
  });
  const float mean = squares / static_cast<float>(n);
  const V16 r = set1(1.0F / num::sqrt(mean + eps));
  for_each_16(n, [&](std::int64_t i, int run) {
    store_n(out + i, mul(mul(load_n(x + i, run), r), load_n(weight + i, run)), run);
  });
}

void layer_norm(const float* x, const float* weight, const float* bias, float eps, std::int64_t n,
                float* out) {
  const V16 mean = set1(sum(x, n) / static_cast<float>(n));
  const float squares = reduce_32(n, [&](V16 p, std::int64_t i, int run) {
    const V16 d = keep_n(sub(load_run(x, i, run), mean), run);
    return fma(d, d, p);
  });
  const V16 r = set1(1.0F / num::sqrt(squares / static_cast<float>(n) + eps));
  for_each_16(n, [&](std::int64_t i, int run) {
    const V16 y = mul(sub(load_n(x + i, run), mean), r);
    const V16 w = load_n(weight + i, run);
    store_n(out + i, bias != nullptr ? fma(y, w, load_n(bias + i, run)) : mul(y, w), run);
  });
}

void exp_row(const float* x, std::int64_t n, float* out) {
  for_each_16(n, [&](std::int64_t i, int run) { store_n(out + i, vexp(load_n(x + i, run)), run); });
}

void softmax(float* x, std::int64_t n) {
  const V16 lowest = set1(-__builtin_inff());
  V16 m = lowest;
  for_each_16(n, [&](std::int64_t i, int run) {
    m = vmax(m, keep_range(load_n(x + i, run), 0, run, lowest));
  });
  const V16 top = set1(join_max(m));
  for_each_16(
      n, [&](std::int64_t i, int run) { store_n(x + i, vexp(sub(load_n(x + i, run), top)), run); });
  const V16 inverse = set1(1.0F / sum(x, n));
  for_each_16(
      n, [&](std::int64_t i, int run) { store_n(x + i, mul(load_n(x + i, run), inverse), run); });
}

HAQ_INLINE V16 vsigmoid_times(V16 value, V16 argument) {
  return div(value, add(set1(1.0F), vexp(neg(argument))));
}

void glu(Glu kind, float limit, const float* gate, const float* up, std::int64_t n, float* out) {
  switch (kind) {
    case Glu::kSwiGlu:
      for_each_16(n, [&](std::int64_t i, int run) {
        const V16 g = load_n(gate + i, run);
        store_n(out + i, mul(vsigmoid_times(g, g), load_n(up + i, run)), run);
      });
      break;
    case Glu::kRelu:
      for_each_16(n, [&](std::int64_t i, int run) {
        store_n(out + i, vmax(zero(), load_n(up + i, run)), run);
      });
      break;
    case Glu::kGptOss:
      for_each_16(n, [&](std::int64_t i, int run) {
        const V16 g = vmin(set1(limit), load_n(gate + i, run));
        const V16 u = vmax(set1(-limit), vmin(set1(limit), load_n(up + i, run)));
        const V16 e = vexp(mul(set1(-1.702F), g));
        store_n(out + i, mul(add(u, set1(1.0F)), div(g, add(set1(1.0F), e))), run);
      });
      break;
  }
}

void rotate(float* x, const float* cos, const float* sin, int dim, bool interleaved) {
  const int half = dim / 2;
  if (interleaved) {
    for (int i = 0; i < half; ++i) {
      const float a = x[2 * i], b = x[2 * i + 1];
      x[2 * i] = num::rotate_first(a, b, cos[i], sin[i]);
      x[2 * i + 1] = num::rotate_second(a, b, cos[i], sin[i]);
    }
    return;
  }
  for_each_16(half, [&](std::int64_t i, int run) {
    const V16 a = load_n(x + i, run), b = load_n(x + half + i, run);
    const V16 c = load_n(cos + i, run), s = load_n(sin + i, run);
    store_n(x + i, fma(a, c, neg(mul(b, s))), run);
    store_n(x + half + i, fma(b, c, mul(a, s)), run);
  });
}

void add_scaled(float* x, const float* y, float factor, std::int64_t n) {
  const V16 f = set1(factor);
  for_each_16(n, [&](std::int64_t i, int run) {
    store_n(x + i, fma(load_n(y + i, run), f, load_n(x + i, run)), run);
  });
}

void clamp_row(float* x, float limit, std::int64_t n) {
  for_each_16(n, [&](std::int64_t i, int run) {
    store_n(x + i, vmin(set1(limit), vmax(set1(-limit), load_n(x + i, run))), run);
  });
}

void scale_row(float* x, float factor, std::int64_t n) {
  const V16 f = set1(factor);
  for_each_16(n, [&](std::int64_t i, int run) { store_n(x + i, mul(load_n(x + i, run), f), run); });
}

void add_bias(const float* x, const float* bias, std::int64_t n, float* out) {
  for_each_16(n, [&](std::int64_t i, int run) {
    const V16 v = load_n(x + i, run);
    store_n(out + i, bias != nullptr ? add(v, load_n(bias + i, run)) : v, run);
  });
}

void combine(const float* slots, std::int64_t stride, const float* weights, int top_k,
             std::int64_t n, float* out) {
  for_each_16(n, [&](std::int64_t i, int run) {
    V16 acc = zero();
    for (int c = 0; c < top_k; ++c) {
      acc = fma(set1(weights[c]), load_n(slots + c * stride + i, run), acc);
    }
    store_n(out + i, acc, run);
  });
}

void widen_bf16(const std::uint16_t* x, std::int64_t n, float multiplier, float* out) {
  const V16 f = set1(multiplier);
  for_each_16(n,
              [&](std::int64_t i, int run) { store_n(out + i, mul(load_n(x + i, run), f), run); });
}

void round_bf16(const float* x, std::int64_t n, std::uint16_t* out) {
  for_each_16(n, [&](std::int64_t i, int run) { store_n(out + i, load_n(x + i, run), run); });
}

void through_bf16(const float* x, std::int64_t n, float* out) {
  for_each_16(n, [&](std::int64_t i, int run) {
    std::uint16_t rounded[16];
    store_n(rounded, load_n(x + i, run), run);
    store_n(out + i, load_n(rounded, run), run);
  });
}

QuantizedRow quantize_row(const float* x, std::int64_t n, std::int8_t* out) {
  // As integers the magnitudes order like the floats, with infinity and NaN above all.
  const U16 magnitude = set1_bits(0x7fffffffU);
  U16 largest = set1_bits(0);
  for_each_16(n, [&](std::int64_t i, int run) {
    largest = max_bits(largest, and_bits(bits(load_n(x + i, run)), magnitude));
  });
  const std::uint32_t top = join_max_bits(largest);
  QuantizedRow row;
  if (top >= 0x7f800000U) {
    row.finite = false;
    return row;
  }
  const float m = num::float_of(top);
  row.scale = num::quant_scale(m);
  const V16 factor = set1(num::quant_factor(m));
  U16 sums = set1_bits(0);
  for_each_16(n, [&](std::int64_t i, int run) {
    const U16 q = nearest(mul(load_n(x + i, run), factor));
    store_bytes_n(out + i, q, run);
    sums = add_bits(sums, q);  // lanes beyond the row are +0
  });
  row.sum = static_cast<std::int32_t>(join_add_bits(sums));
  return row;
}

void dequantize_row(const std::int32_t* acc, float sx, const float* sw, const float* bias,
                    std::int64_t n, float* out) {
  const V16 s = set1(sx);
  for_each_16(n, [&](std::int64_t i, int run) {
    const V16 a = mul(load_n(acc + i, run), s);
    const V16 w = load_n(sw + i, run);
    store_n(out + i, bias != nullptr ? fma(a, w, load_n(bias + i, run)) : mul(a, w), run);
  });
}

}  // namespace
}  // namespace haq::device::host
