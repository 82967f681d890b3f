// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

// The loops of row_kernels.h for whichever V16 was included before. Every function has internal
// linkage and calls nothing that the linker could share with files for other instruction sets.

#include "engine/quant/arithmetic/row_kernels.h"

namespace haq::quant {
namespace {

namespace hw = device::host;
namespace num = device::num;
using hw::V16;

/// Calls body(offset, count) for runs of at most 16 elements.
template <class Body>
HAQ_INLINE void for_each_run(std::int64_t n, Body body) {
  std::int64_t i = 0;
  for (; i + 16 <= n; i += 16) body(i, 16);
  if (i < n) body(i, static_cast<int>(n - i));
}

device::host::QuantizedRow quantize_scaled(const float* x, const float* factor, std::int64_t n,
                                           float* product, std::int8_t* out) {
  // As integers the magnitudes order like the floats, with infinity and NaN above all.
  const hw::U16 magnitude = hw::set1_bits(0x7fffffffU);
  hw::U16 largest = hw::set1_bits(0);
  for_each_run(n, [&](std::int64_t i, int run) {
    const V16 v = hw::mul(hw::load_n(x + i, run), hw::load_n(factor + i, run));
    hw::store_n(product + i, v, run);
    largest = hw::max_bits(largest, hw::and_bits(hw::bits(v), magnitude));
  });
  const std::uint32_t top = hw::join_max_bits(largest);
  device::host::QuantizedRow row;
  if (top >= 0x7f800000U) {
    row.finite = false;
    return row;
  }
  const float m = num::float_of(top);
  row.scale = num::quant_scale(m);
  const V16 inverse = hw::set1(num::quant_factor(m));
  for_each_run(n, [&](std::int64_t i, int run) {
    hw::store_n(out + i, hw::mul(hw::load_n(product + i, run), inverse), run);
  });
  return row;
}

float squared_distance(const float* a, const float* b, std::int64_t n) {
  V16 sum = hw::zero();
  for_each_run(n, [&](std::int64_t i, int run) {
    const V16 d = hw::sub(hw::load_n(a + i, run), hw::load_n(b + i, run));
    sum = hw::fma(d, d, sum);
  });
  return hw::join(sum);
}

/// scale * clamp(rint(x * inverse), ±127): the integer as a float is written to `value`.
HAQ_INLINE V16 round_to(V16 x, V16 scale, V16 inverse, V16& value) {
  const V16 magic = hw::set1(num::kRoundMagic);
  const V16 limited = hw::vmin(hw::set1(127.0F), hw::vmax(hw::set1(-127.0F), hw::mul(x, inverse)));
  value = hw::sub(hw::add(limited, magic), magic);
  return hw::mul(value, scale);
}

void rounding_errors(const float* x, const float* weight, std::int64_t n, const float* scale,
                     const float* inverse, float* errors) {
  constexpr int kScales = 3;
  V16 sum[kScales], s[kScales], f[kScales];
#pragma GCC unroll 3
  for (int c = 0; c < kScales; ++c) {
    sum[c] = hw::zero();
    s[c] = hw::set1(scale[c]);
    f[c] = hw::set1(inverse[c]);
  }
  for_each_run(n, [&](std::int64_t i, int run) {
    const V16 v = hw::load_n(x + i, run), h = hw::load_n(weight + i, run);
#pragma GCC unroll 3
    for (int c = 0; c < kScales; ++c) {
      V16 unused;
      const V16 d = hw::sub(v, round_to(v, s[c], f[c], unused));
      sum[c] = hw::fma(hw::mul(d, d), h, sum[c]);
    }
  });
  for (int c = 0; c < kScales; ++c) errors[c] = hw::join(sum[c]);
}

void solve_block(const SolveBlock& b) {
  constexpr int kVectors = kBlockRows / 16;
  float* d = b.scratch;  // [columns][kBlockRows], close together for the first-level cache
  float* d_plain = b.scratch + kMaxBlockColumns * kBlockRows;
  V16 scale[kVectors], inverse[kVectors], scale_plain[kVectors], inverse_plain[kVectors];
  V16 objective[kVectors], distance[kVectors], objective_plain[kVectors], distance_plain[kVectors];
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) {
    scale[v] = hw::load(b.scale + v * 16);
    inverse[v] = hw::load(b.inverse + v * 16);
    scale_plain[v] = hw::load(b.scale_plain + v * 16);
    inverse_plain[v] = hw::load(b.inverse_plain + v * 16);
    objective[v] = hw::load(b.objective + v * 16);
    distance[v] = hw::load(b.distance + v * 16);
    objective_plain[v] = hw::load(b.objective_plain + v * 16);
    distance_plain[v] = hw::load(b.distance_plain + v * 16);
  }
  for (int j = 0; j < b.columns; ++j) {
    const float* factor = b.factor + j * kMaxBlockColumns;
    const std::int64_t column = j * b.stride;
    V16 carried[kVectors], carried_plain[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      carried[v] = hw::load(b.carried + column + v * 16);
      carried_plain[v] = hw::load(b.carried_plain + column + v * 16);
    }
    for (int i = 0; i < j; ++i) {
      const V16 r = hw::set1(factor[i]);
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) {
        carried[v] = hw::fma(r, hw::load(d + i * kBlockRows + v * 16), carried[v]);
        carried_plain[v] =
            hw::fma(r, hw::load(d_plain + i * kBlockRows + v * 16), carried_plain[v]);
      }
    }
    const V16 pivot = hw::set1(b.pivot_sq[j]);
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      const V16 w = hw::load(b.weights + column + v * 16);
      V16 value, unused;
      const V16 w_hat = round_to(hw::add(w, carried[v]), scale[v], inverse[v], value);
      const V16 off = hw::sub(w, w_hat);
      const V16 e = hw::add(off, carried[v]);
      objective[v] = hw::fma(hw::mul(e, e), pivot, objective[v]);
      distance[v] = hw::fma(off, off, distance[v]);
      const V16 off_plain = hw::sub(w, round_to(w, scale_plain[v], inverse_plain[v], unused));
      const V16 e_plain = hw::add(off_plain, carried_plain[v]);
      objective_plain[v] = hw::fma(hw::mul(e_plain, e_plain), pivot, objective_plain[v]);
      distance_plain[v] = hw::fma(off_plain, off_plain, distance_plain[v]);
      hw::store(d + j * kBlockRows + v * 16, off);
      hw::store(d_plain + j * kBlockRows + v * 16, off_plain);
      hw::store(b.d + column + v * 16, off);
      hw::store(b.d_plain + column + v * 16, off_plain);
      hw::store_n(b.values + j * kBlockRows + v * 16, value, 16);
    }
  }
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) {
    hw::store(b.objective + v * 16, objective[v]);
    hw::store(b.distance + v * 16, distance[v]);
    hw::store(b.objective_plain + v * 16, objective_plain[v]);
    hw::store(b.distance_plain + v * 16, distance_plain[v]);
  }
}

constexpr RowKernels kTable{
    .name = hw::kIsaName,
    .quantize_scaled = quantize_scaled,
    .squared_distance = squared_distance,
    .rounding_errors = rounding_errors,
    .solve_block = solve_block,
};

}  // namespace
}  // namespace haq::quant
