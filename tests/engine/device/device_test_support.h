// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "engine/device/device.h"
#include "engine/device/host/cpuid.h"
#include "engine/device/host/host_device.h"
#include "engine/device/host/onednn.h"

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

inline std::vector<std::int8_t> random_int8(std::int64_t count, unsigned seed, int low, int high) {
  std::mt19937 generator(seed);
  std::vector<std::int8_t> values(static_cast<std::size_t>(count));
  for (auto& v : values) {
    v = static_cast<std::int8_t>(low + static_cast<int>(generator() % (high - low + 1)));
  }
  return values;
}

/// The contract of the int8 path in plain loops.
inline std::vector<float> int8_reference(const std::vector<float>& x, const LinearWeights& w,
                                         std::int64_t m) {
  const std::int64_t n = w.out(), k = w.in();
  const auto* weights = reinterpret_cast<const std::int8_t*>(w.weight.data);
  std::vector<float> y(static_cast<std::size_t>(m * n));
  for (std::int64_t r = 0; r < m; ++r) {
    float largest = 0;
    for (std::int64_t i = 0; i < k; ++i) {
      largest = std::max(largest, std::fabs(x[static_cast<std::size_t>(r * k + i)]));
    }
    const bool tiny = largest < 0x1p-100F;
    const float sx = tiny ? 0.0F : largest / 127.0F;
    std::vector<int> q(static_cast<std::size_t>(k), 0);
    for (std::int64_t i = 0; i < k && !tiny; ++i) {
      q[static_cast<std::size_t>(i)] = static_cast<int>(
          std::nearbyint(x[static_cast<std::size_t>(r * k + i)] * (127.0F / largest)));
    }
    for (std::int64_t c = 0; c < n; ++c) {
      std::int64_t sum = 0;
      for (std::int64_t i = 0; i < k; ++i) {
        sum += static_cast<std::int64_t>(q[static_cast<std::size_t>(i)]) * weights[c * k + i];
      }
      const float scaled = static_cast<float>(static_cast<std::int32_t>(sum)) * sx;
      const float sw = w.scale[static_cast<std::size_t>(c)];
      y[static_cast<std::size_t>(r * n + c)] =
          w.bias.empty() ? scaled * sw : std::fma(scaled, sw, w.bias[static_cast<std::size_t>(c)]);
    }
  }
  return y;
}

/// Every way in which a device of this instruction set can compute int8 products of many rows.
inline std::vector<HostOptions> int8_options(Isa isa, int threads) {
  std::vector<HostOptions> all;
  for (const auto& [int8, budget] : {std::pair{Int8Products::kOwn, std::size_t{SIZE_MAX}},
                                     {Int8Products::kLibrary, std::size_t{SIZE_MAX}},
                                     {Int8Products::kLibrary, std::size_t{0}}}) {
    HostOptions options;
    options.threads = threads;
    options.max_isa = isa;
    options.int8 = int8;
    options.pack_budget_bytes = budget;
    // Where the library is not exact, asking for it changes nothing.
    if (int8 == Int8Products::kLibrary && !host::library_serves_int8(options)) continue;
    all.push_back(options);
  }
  return all;
}

inline std::string describe(const HostOptions& options) {
  const char* by = options.int8 == Int8Products::kOwn ? "own kernels"
                   : options.pack_budget_bytes > 0    ? "library"
                                                      : "library, unpacked";
  return std::string(to_string(options.max_isa)) + ", " + by + ", " +
         std::to_string(options.threads) + " threads";
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
