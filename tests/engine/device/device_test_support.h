// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include "engine/device/device.h"
#include "engine/device/host/cpuid.h"
#include "engine/device/host/host_device.h"

namespace haq::device::test {

inline std::vector<Isa> runnable_isas() {
  std::vector<Isa> isas;
  for (const Isa isa : {Isa::kScalar, Isa::kAvx2, Isa::kAvxVnni, Isa::kAvx512}) {
    if (host::can_run(isa)) isas.push_back(isa);
  }
  return isas;
}

inline std::unique_ptr<Device> device_with(Isa isa, int threads) {
  HostOptions options;
  options.max_isa = isa;
  options.threads = threads;
  return make_host_device(options);
}

/// Normal values; `spread` adds a wide range of magnitudes, signs of zero and denormals.
inline std::vector<float> random_floats(std::int64_t count, unsigned seed, bool spread = false) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal(0.0F, 1.0F);
  std::vector<float> values(static_cast<std::size_t>(count));
  for (float& v : values) {
    v = normal(generator);
    if (!spread) continue;
    switch (generator() % 16) {
      case 0:
        v = std::ldexp(v, static_cast<int>(generator() % 60) - 30);
        break;
      case 1:
        v = 0.0F;
        break;
      case 2:
        v = -0.0F;
        break;
      case 3:
        v = std::ldexp(v, -140);
        break;
      default:
        break;
    }
  }
  return values;
}

inline std::vector<std::uint16_t> random_bf16(std::int64_t count, unsigned seed,
                                              bool spread = false) {
  const std::vector<float> f = random_floats(count, seed, spread);
  std::vector<std::uint16_t> values(f.size());
  for (std::size_t i = 0; i < f.size(); ++i) values[i] = to_bf16(f[i]).bits;
  return values;
}

inline float widen(std::uint16_t bits) {
  return to_float(BFloat16{bits});
}

template <class T>
HostMatrix matrix_of(std::vector<T> values, DType dtype, std::int64_t rows, std::int64_t cols) {
  HostMatrix m;
  auto owner = std::make_shared<std::vector<T>>(std::move(values));
  m.dtype = dtype;
  m.rows = rows;
  m.cols = cols;
  m.data = reinterpret_cast<const std::byte*>(owner->data());
  m.owner = owner;
  return m;
}

inline LinearWeights weights_f32(std::vector<float> values, std::int64_t rows, std::int64_t cols,
                                 std::vector<float> bias = {}) {
  return {matrix_of(std::move(values), DType::kF32, rows, cols), {}, std::move(bias)};
}
inline LinearWeights weights_bf16(std::vector<std::uint16_t> values, std::int64_t rows,
                                  std::int64_t cols, std::vector<float> bias = {}) {
  return {matrix_of(std::move(values), DType::kBF16, rows, cols), {}, std::move(bias)};
}
inline LinearWeights weights_int8(std::vector<std::int8_t> values, std::vector<float> scale,
                                  std::int64_t rows, std::int64_t cols,
                                  std::vector<float> bias = {}) {
  return {matrix_of(std::move(values), DType::kI8, rows, cols), std::move(scale), std::move(bias)};
}

inline ConstRows rows_of(const std::vector<float>& v, std::int64_t rows, std::int64_t cols) {
  return {v.data(), rows, cols, cols};
}
inline Rows rows_of(std::vector<float>& v, std::int64_t rows, std::int64_t cols) {
  return {v.data(), rows, cols, cols};
}

/// Equal bits, element by element (any NaN equals any other).
inline ::testing::AssertionResult same_bits(const std::vector<float>& a,
                                            const std::vector<float>& b) {
  if (a.size() != b.size()) return ::testing::AssertionFailure() << "sizes differ";
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (std::isnan(a[i]) && std::isnan(b[i])) continue;
    if (std::memcmp(&a[i], &b[i], sizeof(float)) != 0) {
      return ::testing::AssertionFailure() << "element " << i << ": " << a[i] << " and " << b[i]
                                           << " (" << std::hexfloat << a[i] << ", " << b[i] << ")";
    }
  }
  return ::testing::AssertionSuccess();
}

}  // namespace haq::device::test
