// SPDX-License-Identifier: GPL-3.0-or-later
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <random>
#include <utility>
#include <vector>

#include "engine/base/error.h"
#include "tests/engine/device/device_test_support.h"

namespace haq::device::test {
namespace {

constexpr float kOut = -std::numeric_limits<float>::infinity();

std::vector<float> all_outputs(Device& device, const Linear& linear, const std::vector<float>& x) {
  std::vector<float> out(static_cast<std::size_t>(linear.out()));
  const Device::LinearCall call{&linear, rows_of(out, 1, linear.out())};
  device.linear(rows_of(x, 1, linear.in()), std::span(&call, 1));
  return out;
}

struct Found {
  std::vector<float> out;
  std::int64_t computed = 0;
};

Found find(Device& device, const TopSearch& search, std::int64_t outputs,
           const std::vector<float>& x, int top) {
  Found found{std::vector<float>(static_cast<std::size_t>(outputs)), 0};
  found.computed = device.linear_top(rows_of(x, 1, static_cast<std::int64_t>(x.size())), search,
                                     top, rows_of(found.out, 1, outputs));
  return found;
}

/// What linear_top() promises, against all outputs.
void expect_promise(const std::vector<float>& all, const Found& found, int top) {
  std::vector<float> sorted = all;
  std::sort(sorted.begin(), sorted.end(), std::greater<>());
  const float last = sorted[std::min(sorted.size(), static_cast<std::size_t>(top)) - 1];
  const float wanted = last - std::fabs(last) * 1e-6F;
  std::int64_t given = 0;
  for (std::size_t n = 0; n < all.size(); ++n) {
    const bool same = std::memcmp(&all[n], &found.out[n], sizeof(float)) == 0;
    given += same ? 1 : 0;
    if (same) continue;
    ASSERT_EQ(found.out[n], kOut) << "output " << n;
    ASSERT_LT(all[n], wanted) << "output " << n << " of the top " << top;
  }
  EXPECT_EQ(given, found.computed);
}

std::vector<float> with_spikes(std::vector<float> x, unsigned seed) {
  std::mt19937 generator(seed);
  for (int i = 0; i < 3; ++i) x[generator() % x.size()] *= 200;
  return x;
}

std::vector<float> times(std::vector<float> x, float factor) {
  for (float& value : x) value *= factor;
  return x;
}

class Top : public testing::TestWithParam<Isa> {
 protected:
  std::unique_ptr<Device> device_ = device_with(GetParam(), 2);
};

TEST_P(Top, FindsWhatTheWholeProductHolds) {
  for (const auto& [outputs, inputs] :
       {std::pair{1000, 256}, std::pair{777, 100}, std::pair{300, 33}, std::pair{513, 1}}) {
    for (const bool wide : {false, true}) {
      const auto seed = static_cast<unsigned>(outputs + inputs);
      const std::vector<float> bias =
          wide ? random_floats(outputs, seed + 1) : std::vector<float>();
      const LinearWeights weights =
          wide ? weights_f32(random_floats(outputs * inputs, seed), outputs, inputs, bias)
               : weights_bf16(random_bf16(outputs * inputs, seed), outputs, inputs);
      const auto linear = device_->prepare(weights, LinearPath::kFixedOrder, "head");
      const auto search = device_->prepare_top(linear);
      ASSERT_NE(search, nullptr);
      const std::vector<float> plain = random_floats(inputs, seed + 2);
      for (const std::vector<float>& x :
           {plain, with_spikes(plain, seed), times(plain, 1e-30F), times(plain, 1e30F),
            times(plain, 1e-44F), times(plain, 0)}) {
        const std::vector<float> all = all_outputs(*device_, *linear, x);
        for (const int top : {1, 2, 40, outputs - 1, outputs, outputs + 5}) {
          SCOPED_TRACE(testing::Message() << outputs << "x" << inputs << " top " << top);
          expect_promise(all, find(*device_, *search, outputs, x, top), top);
        }
      }
    }
  }
}

TEST_P(Top, ComputesFewOutputs) {
  constexpr std::int64_t kOutputs = 4096, kInputs = 512;
  const auto linear =
      device_->prepare(weights_bf16(random_bf16(kOutputs * kInputs, 1), kOutputs, kInputs),
                       LinearPath::kFixedOrder, "head");
  const auto search = device_->prepare_top(linear);
  ASSERT_NE(search, nullptr);
  EXPECT_LT(search->bytes(), linear->weight_bytes() * 52 / 100);
  const std::vector<float> x = random_floats(kInputs, 2);
  // Unrelated rows are the hardest case; a trained head's largest outputs stand further apart.
  EXPECT_LE(find(*device_, *search, kOutputs, x, 1).computed, kOutputs / 40);
  EXPECT_LE(find(*device_, *search, kOutputs, x, 50).computed, kOutputs / 10);
  // Large elements must not blur all others.
  EXPECT_LE(find(*device_, *search, kOutputs, with_spikes(x, 3), 1).computed, kOutputs / 20);
}

TEST_P(Top, TiesAndNearTiesAreAllThere) {
  constexpr std::int64_t kOutputs = 600, kInputs = 64;
  std::vector<float> weights = random_floats(kOutputs * kInputs, 4);
  const std::vector<float> x = random_floats(kInputs, 5);
  // Every tenth row points along x: equal ones, and ones a few units in the last place off.
  for (std::int64_t n = 0; n < kOutputs; n += 10) {
    for (std::int64_t i = 0; i < kInputs; ++i) {
      const float value = x[static_cast<std::size_t>(i)] * 4;
      const float other = std::nextafter(value, n % 20 == 0 ? value : 100.0F);
      weights[static_cast<std::size_t>(n * kInputs + i)] = other;
    }
  }
  const auto linear =
      device_->prepare(weights_f32(weights, kOutputs, kInputs), LinearPath::kFixedOrder, "head");
  const auto search = device_->prepare_top(linear);
  ASSERT_NE(search, nullptr);
  const std::vector<float> all = all_outputs(*device_, *linear, x);
  for (const int top : {1, 5, 59, 60, 61}) {
    const Found found = find(*device_, *search, kOutputs, x, top);
    expect_promise(all, found, top);
    EXPECT_GE(found.computed, 60) << top;
  }
}

TEST_P(Top, RowsThatRoundBadly) {
  // Weights half a step off, all errors along x: the bound is reached, not only approached.
  constexpr std::int64_t kOutputs = 512, kInputs = 96;
  std::mt19937 generator(6);
  std::vector<float> x(kInputs, 1.0F), weights(kOutputs * kInputs);
  for (std::int64_t n = 0; n < kOutputs; ++n) {
    const float side = n % 2 == 0 ? 0.499F : -0.499F;
    for (std::int64_t i = 0; i < kInputs; ++i) {
      const float step = static_cast<float>(generator() % 200) - 100;
      weights[static_cast<std::size_t>(n * kInputs + i)] = i == 0 ? 127 : step + side;
    }
  }
  const auto linear =
      device_->prepare(weights_f32(weights, kOutputs, kInputs), LinearPath::kFixedOrder, "head");
  const auto search = device_->prepare_top(linear);
  ASSERT_NE(search, nullptr);
  const std::vector<float> all = all_outputs(*device_, *linear, x);
  for (const int top : {1, 3, 30}) {
    expect_promise(all, find(*device_, *search, kOutputs, x, top), top);
  }
}

TEST_P(Top, ComputesAllWhereNoBoundHolds) {
  constexpr std::int64_t kOutputs = 300, kInputs = 64;
  const auto linear =
      device_->prepare(weights_f32(random_floats(kOutputs * kInputs, 7), kOutputs, kInputs),
                       LinearPath::kFixedOrder, "head");
  const auto search = device_->prepare_top(linear);
  ASSERT_NE(search, nullptr);
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), kOut, 3e38F}) {
    std::vector<float> x = random_floats(kInputs, 8);
    x[5] = bad;
    x[6] = bad;
    const Found found = find(*device_, *search, kOutputs, x, 1);
    EXPECT_EQ(found.computed, kOutputs);
    EXPECT_TRUE(same_bits(found.out, all_outputs(*device_, *linear, x)));
  }
}

TEST_P(Top, RefusesWeightsThatAreNotFinite) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), -kOut}) {
    std::vector<float> weights = random_floats(300 * 64, 9);
    weights[64 * 299 + 3] = bad;
    const auto linear =
        device_->prepare(weights_f32(weights, 300, 64), LinearPath::kFixedOrder, "head");
    EXPECT_EQ(device_->prepare_top(linear), nullptr);
  }
}

INSTANTIATE_TEST_SUITE_P(InstructionSets, Top, testing::ValuesIn(runnable_isas()),
                         [](const auto& isa) {
                           std::string name = to_string(isa.param);
                           std::erase_if(name, [](char c) { return c == '-' || c == ' '; });
                           return name;
                         });

}  // namespace
}  // namespace haq::device::test
