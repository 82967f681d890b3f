// SPDX-License-Identifier: GPL-3.0-or-later
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "engine/base/error.h"
#include "tests/engine/device/device_test_support.h"

namespace haq::device::test {
namespace {

using ::testing::ElementsAre;
using ::testing::FloatNear;

struct Routed {
  std::vector<std::int32_t> ids;
  std::vector<float> weights;
};

Routed route(const std::vector<float>& logits, std::int64_t rows, RouterRule rule, int k,
             bool normalize = false, float scale = 1, float jitter = 0, Isa isa = Isa::kNative) {
  Routed r;
  r.ids.resize(static_cast<std::size_t>(rows * k), -1);
  r.weights.resize(r.ids.size());
  const auto cols = static_cast<std::int64_t>(logits.size()) / rows;
  RouterArgs args;
  args.logits = rows_of(logits, rows, cols);
  args.rule = rule;
  args.top_k = k;
  args.normalize = normalize;
  args.scale = scale;
  args.jitter = jitter;
  args.ids = r.ids.data();
  args.weights = r.weights.data();
  device_with(isa, 2)->route(args);
  return r;
}

TEST(Router, TakesTheMostProbableLowerIdFirstOnTies) {
  const std::vector<float> logits = {1, 3, 2, 3, 0, 1, 1, 1, 1, 1};
  const Routed r = route(logits, 2, RouterRule::kSoftmaxThenTopK, 3);
  EXPECT_THAT(r.ids, ElementsAre(1, 3, 2, 0, 1, 2));
  EXPECT_FLOAT_EQ(r.weights[0], r.weights[1]);
  const double total = std::exp(1.0) + 2 * std::exp(3.0) + std::exp(2.0) + 1;
  EXPECT_NEAR(r.weights[0], std::exp(3.0) / total, 1e-6);
  EXPECT_NEAR(r.weights[3], 0.2, 1e-7);
}

TEST(Router, NormalisesAndScales) {
  const std::vector<float> logits = {0.5F, -1, 2, 0};
  const Routed plain = route(logits, 1, RouterRule::kSoftmaxThenTopK, 2);
  const Routed normal = route(logits, 1, RouterRule::kSoftmaxThenTopK, 2, true, 4.0F);
  const float sum = plain.weights[0] + plain.weights[1];
  EXPECT_LT(sum, 1.0F);
  EXPECT_THAT(normal.weights, ElementsAre(FloatNear(4 * plain.weights[0] / sum, 1e-5F),
                                          FloatNear(4 * plain.weights[1] / sum, 1e-5F)));
  const Routed chosen = route(logits, 1, RouterRule::kTopKThenSoftmax, 2);
  EXPECT_THAT(chosen.ids, ElementsAre(2, 0));
  EXPECT_THAT(chosen.weights, ElementsAre(FloatNear(normal.weights[0] / 4, 1e-6F),
                                          FloatNear(normal.weights[1] / 4, 1e-6F)));
}

TEST(Router, SparseMixerLeavesOutDistantExpertsAndTheFirstChoice) {
  // jitter 0.01: experts within 2 % of the best logit count. First: 10 and 9.9; then 9.9 and 9.8
  // (the factor uses the unmasked logits); 5 never.
  const std::vector<float> logits = {9.9F, 5.0F, 10.0F, 9.8F};
  const Routed r = route(logits, 1, RouterRule::kSparseMixer, 2, false, 1, 0.01F);
  EXPECT_THAT(r.ids, ElementsAre(2, 0));
  const double kept = std::exp(0.1) + 1 + std::exp(-0.1);  // 9.8 lies exactly at the threshold
  const double first_without = std::exp(0.1) / (std::exp(0.1) + 1);
  EXPECT_THAT(r.weights[0],
              ::testing::AnyOf(FloatNear(static_cast<float>(first_without), 1e-5F),
                               FloatNear(static_cast<float>(std::exp(0.1) / kept), 1e-5F)));
  EXPECT_NEAR(r.weights[1], 1.0 / (1.0 + std::exp(-0.1)), 1e-5);
}

TEST(Router, GivesTheSameBitsOnEveryInstructionSet) {
  const auto logits = random_floats(40 * 60, 1);
  for (const RouterRule rule :
       {RouterRule::kSoftmaxThenTopK, RouterRule::kTopKThenSoftmax, RouterRule::kSparseMixer}) {
    const Routed expected = route(logits, 40, rule, 2, true, 1.5F, 0.1F, Isa::kScalar);
    for (const Isa isa : runnable_isas()) {
      const Routed found = route(logits, 40, rule, 2, true, 1.5F, 0.1F, isa);
      EXPECT_EQ(expected.ids, found.ids);
      EXPECT_TRUE(same_bits(expected.weights, found.weights)) << to_string(isa);
    }
  }
}

TEST(Router, RefusesWhatIsNotFinite) {
  EXPECT_THROW(
      route({1, std::numeric_limits<float>::quiet_NaN()}, 1, RouterRule::kSoftmaxThenTopK, 1),
      Error);
  EXPECT_THROW(route({1, 2}, 1, RouterRule::kSoftmaxThenTopK, 3), Error);
}

}  // namespace
}  // namespace haq::device::test
