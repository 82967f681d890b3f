// SPDX-License-Identifier: GPL-3.0-or-later
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "engine/base/error.h"
#include "engine/device/numerics.h"
#include "tests/engine/device/device_test_support.h"

namespace haq::device::test {
namespace {

/// The fixed order of numerics.h, spelled out.
float fixed_dot(const float* x, const float* w, std::int64_t k) {
  float p[32] = {};
  for (std::int64_t base = 0; base < k; base += 32) {
    for (std::int64_t j = 0; j < 32; ++j) {
      const bool inside = base + j < k;
      p[j] = num::fma(inside ? x[base + j] : 0.0F, inside ? w[base + j] : 0.0F, p[j]);
    }
  }
  return num::join_lanes(p);
}

struct Shape {
  std::int64_t m, n, k;
};
constexpr Shape kShapes[] = {{1, 1, 1},   {1, 7, 31},  {2, 5, 32},    {3, 13, 33},   {4, 3, 64},
                             {5, 50, 95}, {9, 25, 17}, {70, 61, 100}, {130, 40, 200}};

std::vector<float> run(Device& device, const LinearWeights& w, LinearPath path,
                       const std::vector<float>& x, std::int64_t m) {
  const auto linear = device.prepare(w, path, "layer");
  std::vector<float> y(static_cast<std::size_t>(m * w.out()), -1.0F);
  const Device::LinearCall call{linear.get(), rows_of(y, m, w.out())};
  device.linear(rows_of(x, m, w.in()), {&call, 1});
  return y;
}

TEST(FixedOrderLinear, FollowsTheWrittenOrderOnEveryInstructionSet) {
  for (const Shape& s : kShapes) {
    const auto x = random_floats(s.m * s.k, 1, true);
    const auto w32 = random_floats(s.n * s.k, 2, true);
    const auto w16 = random_bf16(s.n * s.k, 3, true);
    const auto bias = random_floats(s.n, 4);
    std::vector<float> wide(w16.size());
    for (std::size_t i = 0; i < w16.size(); ++i) wide[i] = widen(w16[i]);
    std::vector<float> expect32(static_cast<std::size_t>(s.m * s.n)), expect16 = expect32;
    for (std::int64_t r = 0; r < s.m; ++r) {
      for (std::int64_t n = 0; n < s.n; ++n) {
        const auto at = static_cast<std::size_t>(r * s.n + n);
        expect32[at] = fixed_dot(&x[static_cast<std::size_t>(r * s.k)],
                                 &w32[static_cast<std::size_t>(n * s.k)], s.k);
        expect16[at] = fixed_dot(&x[static_cast<std::size_t>(r * s.k)],
                                 &wide[static_cast<std::size_t>(n * s.k)], s.k) +
                       bias[static_cast<std::size_t>(n)];
      }
    }
    for (const Isa isa : runnable_isas()) {
      for (const int threads : {1, 3}) {
        const auto device = device_with(isa, threads);
        EXPECT_TRUE(same_bits(
            expect32, run(*device, weights_f32(w32, s.n, s.k), LinearPath::kFixedOrder, x, s.m)))
            << to_string(isa) << " f32 " << s.m << "x" << s.n << "x" << s.k;
        EXPECT_TRUE(same_bits(expect16, run(*device, weights_bf16(w16, s.n, s.k, bias),
                                            LinearPath::kFixedOrder, x, s.m)))
            << to_string(isa) << " bf16 " << s.m << "x" << s.n << "x" << s.k;
      }
    }
  }
}

TEST(FixedOrderLinear, StaysWithinTheErrorBoundOfTheExactSum) {
  const std::int64_t k = 2048, n = 16;
  const auto x = random_floats(k, 5);
  const auto w = random_floats(n * k, 6);
  const auto device = device_with(Isa::kNative, 2);
  const auto y = run(*device, weights_f32(w, n, k), LinearPath::kFixedOrder, x, 1);
  for (std::int64_t c = 0; c < n; ++c) {
    double exact = 0, magnitude = 0;
    for (std::int64_t i = 0; i < k; ++i) {
      const double product = static_cast<double>(x[static_cast<std::size_t>(i)]) *
                             w[static_cast<std::size_t>(c * k + i)];
      exact += product;
      magnitude += std::fabs(product);
    }
    // A chain of k / 32 fused steps and 5 additions: at most (k / 32 + 5) half-ulps of the
    // magnitudes.
    const double bound = (k / 32 + 5) * 0x1p-24 * magnitude;
    EXPECT_NEAR(y[static_cast<std::size_t>(c)], exact, bound);
  }
}

TEST(Library16Linear, AgreesWithRoundedInputsWithinTheErrorBound) {
  for (const Shape& s : {Shape{1, 48, 96}, Shape{3, 64, 256}, Shape{17, 33, 130},
                         Shape{64, 128, 512}, Shape{100, 96, 64}}) {
    const auto x = random_floats(s.m * s.k, 7);
    const auto w = random_bf16(s.n * s.k, 8);
    const auto bias = random_floats(s.n, 9);
    for (const Isa isa : {Isa::kScalar, Isa::kAvx2, Isa::kAvx512, Isa::kNative}) {
      if (!host::can_run(isa)) continue;
      const auto device = device_with(isa, 2);
      const auto y = run(*device, weights_bf16(w, s.n, s.k, bias), LinearPath::kLibrary16, x, s.m);
      for (std::int64_t r = 0; r < s.m; ++r) {
        for (std::int64_t n = 0; n < s.n; ++n) {
          double exact = bias[static_cast<std::size_t>(n)], magnitude = std::fabs(exact);
          for (std::int64_t i = 0; i < s.k; ++i) {
            const double product =
                static_cast<double>(to_float(to_bf16(x[static_cast<std::size_t>(r * s.k + i)]))) *
                widen(w[static_cast<std::size_t>(n * s.k + i)]);
            exact += product;
            magnitude += std::fabs(product);
          }
          // Any order of s.k float additions.
          ASSERT_NEAR(y[static_cast<std::size_t>(r * s.n + n)], exact,
                      static_cast<double>(s.k + 2) * 0x1p-24 * magnitude)
              << to_string(isa) << " row " << r << " column " << n;
        }
      }
    }
  }
}

TEST(Linear, RefusesWrongShapesAndTypes) {
  const auto device = device_with(Isa::kNative, 1);
  const auto linear =
      device->prepare(weights_f32(random_floats(12, 1), 3, 4), LinearPath::kFixedOrder, "layer");
  std::vector<float> x(5), y(3);
  const Device::LinearCall call{linear.get(), rows_of(y, 1, 3)};
  EXPECT_THROW(device->linear(rows_of(x, 1, 5), {&call, 1}), Error);
  EXPECT_THROW(device->prepare(weights_f32(random_floats(12, 1), 3, 4), LinearPath::kInt8, "layer"),
               Error);
  EXPECT_THROW(device->prepare(weights_f32(random_floats(12, 1), 3, 4, {1.0F}),
                               LinearPath::kFixedOrder, "layer"),
               Error);
}

}  // namespace
}  // namespace haq::device::test
