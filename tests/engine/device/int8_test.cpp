// SPDX-License-Identifier: GPL-3.0-or-later
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "engine/base/error.h"
#include "engine/device/numerics.h"
#include "tests/engine/device/device_test_support.h"

namespace haq::device::test {
namespace {

void expect_everywhere(const std::vector<float>& x, const LinearWeights& w, std::int64_t m,
                       const std::string& what) {
  const std::vector<float> expected = int8_reference(x, w, m);
  for (const Isa isa : {Isa::kScalar, Isa::kAvx2, Isa::kAvxVnni, Isa::kAvx512, Isa::kNative}) {
    if (!host::can_run(isa)) continue;
    for (const HostOptions& options : int8_options(isa, 2)) {
      const auto device = make_host_device(options);
      const auto linear = device->prepare(w, LinearPath::kInt8, "layer");
      std::vector<float> y(expected.size(), -1.0F);
      const Device::LinearCall call{linear.get(), rows_of(y, m, w.out())};
      device->linear(rows_of(x, m, w.in()), {&call, 1});
      EXPECT_TRUE(same_bits(expected, y)) << what << " on " << describe(options) << " m=" << m;
    }
  }
}

TEST(Int8Linear, IsExactOnEveryPathForOddShapes) {
  for (const auto& [m, n, k] : {std::tuple{1, 5, 1},
                                {1, 70, 63},
                                {2, 9, 64},
                                {3, 17, 65},
                                {7, 33, 127},
                                {8, 64, 128},
                                {20, 130, 200},
                                {133, 40, 96},
                                {12, 64, 2048},
                                {13, 70, 2049},
                                {31, 129, 4500}}) {
    const auto x = random_floats(m * k, 1, true);
    auto w = weights_int8(random_int8(n * k, 2, -127, 127), random_floats(n, 3), n, k);
    expect_everywhere(x, w, m, "random");
    w.bias = random_floats(n, 4);
    expect_everywhere(x, w, m, "with bias");
  }
}

TEST(Int8Linear, IsExactForAdversarialInputs) {
  constexpr std::int64_t kIn = 512, kOut = 24;
  for (const std::int64_t m : {std::int64_t{1}, std::int64_t{9}, std::int64_t{14}}) {
    std::vector<float> alternating(static_cast<std::size_t>(m * kIn)), ones = alternating,
                                                                       hot = alternating;
    for (std::size_t i = 0; i < alternating.size(); ++i) {
      alternating[i] = i % 2 == 0 ? 3.0F : -3.0F;
      ones[i] = -1.0F;
      hot[i] = i % kIn == 100 ? 4e7F : 1.0F;
    }
    const std::vector<float> scale(kOut, 0.01F);
    std::vector<std::int8_t> signs(kIn * kOut);
    for (std::size_t i = 0; i < signs.size(); ++i) signs[i] = i % 2 == 0 ? 127 : -127;
    const auto extreme = weights_int8(signs, scale, kOut, kIn);
    const auto lowest = weights_int8(std::vector<std::int8_t>(kIn * kOut, -128), scale, kOut, kIn);
    const auto highest = weights_int8(std::vector<std::int8_t>(kIn * kOut, 127), scale, kOut, kIn);
    expect_everywhere(alternating, extreme, m, "largest products of equal sign");
    for (const auto& w : {extreme, lowest, highest}) {
      expect_everywhere(ones, w, m, "ones");
      expect_everywhere(hot, w, m, "one hot channel");
    }
    expect_everywhere(std::vector<float>(static_cast<std::size_t>(m * kIn), 0.0F), lowest, m,
                      "zeros");
    expect_everywhere(std::vector<float>(static_cast<std::size_t>(m * kIn), 1e-40F), lowest, m,
                      "denormals");
    expect_everywhere(std::vector<float>(static_cast<std::size_t>(m * kIn), 0x1p-100F), lowest, m,
                      "the smallest row that is not zeroed");
    expect_everywhere(
        std::vector<float>(static_cast<std::size_t>(m * kIn), std::nextafter(0x1p-100F, 0.0F)),
        lowest, m, "the largest row that is zeroed");
    expect_everywhere(
        std::vector<float>(static_cast<std::size_t>(m * kIn), std::numeric_limits<float>::max()),
        extreme, m, "the largest finite values");
  }
}

TEST(Int8Linear, HoldsTheLargestSumOfTheLongestRow) {
  constexpr std::int64_t kIn = 131072;
  const std::vector<float> x(kIn, -1.0F);
  expect_everywhere(x, weights_int8(std::vector<std::int8_t>(kIn * 2, -128), {1.0F, 0.5F}, 2, kIn),
                    1, "K = 131072");
  const auto device = device_with(Isa::kNative, 1);
  EXPECT_THROW(
      device->prepare(weights_int8(std::vector<std::int8_t>(kIn + 1, 1), {1.0F}, 1, kIn + 1),
                      LinearPath::kInt8, "layer"),
      Error);
}

TEST(Int8Linear, RefusesNonFiniteRowsNamingTheLayer) {
  for (const Isa isa : runnable_isas()) {
    const auto device = device_with(isa, 2);
    const auto linear = device->prepare(
        weights_int8(random_int8(8 * 40, 1, -127, 127), std::vector<float>(8, 1.0F), 8, 40),
        LinearPath::kInt8, "model.layers.3.mlp.down_proj");
    for (const float bad :
         {std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(),
          std::numeric_limits<float>::quiet_NaN()}) {
      auto x = random_floats(3 * 40, 2);
      x[79] = bad;
      std::vector<float> y(24);
      const Device::LinearCall call{linear.get(), rows_of(y, 3, 8)};
      try {
        device->linear(rows_of(x, 3, 40), {&call, 1});
        FAIL() << "accepted " << bad;
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::kNumeric);
        EXPECT_THAT(error.what(), ::testing::HasSubstr("model.layers.3.mlp.down_proj"));
      }
    }
  }
}

TEST(SelfTest, PassesAndReportsWhatServes) {
  HostOptions options;
  options.threads = 2;
  EXPECT_THAT(self_test(options), ::testing::IsEmpty());
  const KernelReport report = kernel_report(options);
  EXPECT_FALSE(report.int8.empty());
  EXPECT_FALSE(report.bf16.empty());
  EXPECT_FALSE(report.fixed_order.empty());
  EXPECT_FALSE(report.onednn_version.empty());
  options.max_isa = Isa::kScalar;
  const KernelReport scalar = kernel_report(options);
  EXPECT_EQ(scalar.int8, "own scalar");
  EXPECT_FALSE(scalar.notes.empty());
}

TEST(IsaLimit, ReadsTheEnvironmentAndRefusesUnknownNames) {
  // A limit below native would hold for oneDNN in this whole process: only values that do not reach
  // it are tried here.
  ASSERT_EQ(setenv("HAQ_MAX_ISA", "sse9", 1), 0);
  EXPECT_THROW(isa_limit_from_environment(), Error);
  ASSERT_EQ(setenv("HAQ_MAX_ISA", "native", 1), 0);
  EXPECT_EQ(isa_limit_from_environment(), Isa::kNative);
  ASSERT_EQ(unsetenv("HAQ_MAX_ISA"), 0);
  EXPECT_EQ(isa_limit_from_environment(), Isa::kNative);
  EXPECT_EQ(runnable_isa_limits().front(), "scalar");
  EXPECT_EQ(runnable_isa_limits().back(), "native");
}

}  // namespace
}  // namespace haq::device::test
