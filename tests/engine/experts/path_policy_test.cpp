// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/experts/policies/path_policy.h"

#include <gtest/gtest.h>

#include <memory>
#include <random>

#include "engine/experts/policies/auto_policy.h"
#include "engine/experts/policies/choice_model.h"
#include "engine/experts/trace.h"
#include "tests/engine/experts/policy_play.h"

namespace haq::experts {
namespace {

constexpr ExpertShape kShape{6, 16, 2};

/// The experts of layer 0 are drawn at random; those of every further layer follow from them.
Trace determined_paths(int tokens, std::uint32_t seed) {
  std::mt19937 random(seed);
  return paths(kShape, tokens,
               [&, first = 0](int, int layer, std::vector<std::uint16_t>& chosen) mutable {
                 if (layer == 0) first = static_cast<int>(random() % 8);
                 for (int rank = 0; rank < kShape.top_k; ++rank) {
                   chosen.push_back(
                       static_cast<std::uint16_t>((first * 2 + rank + 5 * layer) % kShape.experts));
                 }
               });
}

/// Every choice is drawn anew from all experts alike.
Trace unrelated_paths(int tokens, std::uint32_t seed) {
  std::mt19937 random(seed);
  return paths(kShape, tokens, [&](int, int, std::vector<std::uint16_t>& chosen) {
    const auto first = static_cast<std::uint16_t>(random() % 16);
    chosen = {first, static_cast<std::uint16_t>((first + 1 + random() % 15) % 16)};
  });
}

/// A layer keeps to four experts for a long time and then to four others.
Trace changing_paths(int tokens, int period, std::uint32_t seed) {
  std::mt19937 random(seed);
  return paths(kShape, tokens, [&](int token, int layer, std::vector<std::uint16_t>& chosen) {
    const int base = (token / period * 4 + layer) % kShape.experts;
    const int first = static_cast<int>(random() % 4);
    for (const int offset : {first, (first + 1 + static_cast<int>(random() % 3)) % 4}) {
      chosen.push_back(static_cast<std::uint16_t>((base + offset) % kShape.experts));
    }
  });
}

PolicyOptions with_costs(double link_gb_s, PathGoal goal = PathGoal::kTime) {
  PolicyOptions options;
  options.costs = CostTable::stated(100, 0, link_gb_s, 6e6);  // a CPU at 60 GB/s
  options.path_goal = goal;
  return options;
}

TEST(PathPredictor, LearnsWhatThePathDetermines) {
  PathPredictor predictor(kShape);
  const Steps steps(determined_paths(600, 3));
  double expected = 0, others = 0;
  int counted = 0;
  for (std::int64_t i = 0; i < steps.count(); ++i) {
    const Step step = steps.step(i);
    if (i > steps.count() / 2 && step.layer > 0) {
      const std::span<const float> chances = predictor.ahead(step.layer);
      double sum = 0;
      for (const float chance : chances) sum += static_cast<double>(chance);
      double chosen = 0;
      for (const std::uint16_t expert : step.experts)
        chosen += static_cast<double>(chances[expert]);
      expected += chosen;
      others += sum - chosen;
      ++counted;
    }
    predictor.add(step);
  }
  EXPECT_GT(expected / counted, 0.75 * kShape.top_k);
  EXPECT_LT(others / counted, 0.25 * kShape.top_k);
}

TEST(PathPredictor, WithoutEvidenceSaysWhatTheUseSays) {
  PathPredictor predictor(kShape);
  for (const float chance : predictor.ahead(0)) EXPECT_NEAR(chance, 2.0 / 16, 0.03);
  const std::uint16_t experts[] = {3, 9}, counts[] = {40, 2};
  predictor.add({0, 42, experts, counts});  // a prompt: no path, but use
  EXPECT_GT(predictor.again(0)[3], 0.5F);
  EXPECT_GT(predictor.again(0)[3], predictor.again(0)[9]);
}

TEST(PathPolicy, PrefetchBeatsTheOptimumFilledOnDemandWherePathsRepeat) {
  const Played hits = play(determined_paths(900, 5), "path", 24, with_costs(25, PathGoal::kHits));
  const Played lru = play(determined_paths(900, 5), "lru", 24, with_costs(25));
  EXPECT_GT(hits.hit_rate(), lru.hit_rate() + 0.3);
  EXPECT_LE(hits.uploads, lru.uploads);
}

TEST(PathPolicy, SavesTimeWherePathsRepeat) {
  const Played path = play(determined_paths(900, 5), "path", 24, with_costs(60));
  for (const char* name : {"none", "lru", "lru-layer", "ema"}) {
    EXPECT_LT(path.us, play(determined_paths(900, 5), name, 24, with_costs(60)).us) << name;
  }
}

TEST(PathPolicy, CopiesNothingThatDoesNotPay) {
  // A link so slow that a copy takes longer than a thousand misses.
  const Played path = play(determined_paths(900, 5), "path", 24, with_costs(0.02));
  const Played none = play(determined_paths(900, 5), "none", 24, with_costs(0.02));
  EXPECT_EQ(path.uploads, 0);
  EXPECT_DOUBLE_EQ(path.us, none.us);
}

TEST(PathPolicy, PrefetchesNothingWorthACopyWhereChoicesAreUnrelated) {
  const Played path = play(unrelated_paths(900, 7), "path", 24, with_costs(25));
  const Played none = play(unrelated_paths(900, 7), "none", 24, with_costs(25));
  EXPECT_LT(path.us, none.us);
  // Two misses never leave the link idle for a copy: hardly any is made once the slots are full,
  // where lru makes eight a token.
  EXPECT_LT(path.uploads, 24 + 900 / 5);
}

TEST(PathPolicy, DoesNotCopyToADeviceThatOnlyDelays) {
  PolicyOptions options = with_costs(25);
  // One hit takes longer than all misses of a step.
  options.costs = CostTable::stated(100, 300, 25, 6e6);
  EXPECT_EQ(play(determined_paths(300, 5), "path", 24, options).uploads, 0);
}

TEST(PathPolicy, ProfitsFromHistory) {
  PolicyOptions options = with_costs(25, PathGoal::kHits);
  const Played cold = play(determined_paths(60, 11), "path", 24, options);
  options.history = std::make_shared<Trace>(determined_paths(600, 3));
  EXPECT_GT(play(determined_paths(60, 11), "path", 24, options).hits, cold.hits);
}

TEST(AutoPolicy, IsNotSlowerThanTheBestOfItsPlayers) {
  struct Case {
    const char* what;
    Trace trace;
    double link_gb_s;
  };
  const Case cases[] = {{"paths repeat", determined_paths(1200, 5), 25},
                        {"paths repeat, quick link", determined_paths(1200, 5), 200},
                        {"unrelated", unrelated_paths(1200, 7), 25},
                        {"changing", changing_paths(1200, 150, 9), 25},
                        {"changing, slow link", changing_paths(1200, 150, 9), 10},
                        {"one set", changing_paths(1200, 1200, 9), 25}};
  for (const Case& each : cases) {
    SCOPED_TRACE(each.what);
    const PolicyOptions options = with_costs(each.link_gb_s);
    const std::int64_t from = each.trace.tokens() / 2;
    const Played chosen = play(each.trace, "auto", 24, options, from);
    for (const char* name : {"none", "lru", "lru-layer", "ema", "path"}) {
      EXPECT_LE(chosen.us, 1.02 * play(each.trace, name, 24, options, from).us) << name;
    }
  }
}

TEST(AutoPolicy, ChangesItsMindForGoodReason) {
  // path's worth looks a few tokens ahead; where copies take long, slow averages do better.
  const Trace trace = changing_paths(3000, 500, 9);
  const PolicyOptions options = with_costs(3);
  AutoPolicy policy(trace.shape, 24, options);
  Residency residency(trace.shape, 24);
  policy.start(residency);
  const std::string first = policy.following();
  std::vector<std::string> followed = {first};
  const Steps steps(trace);
  for (std::int64_t i = 0; i < steps.count(); ++i) {
    policy.end_step(steps.step(i), residency);
    if (policy.following() != followed.back()) followed.push_back(policy.following());
  }
  EXPECT_GT(followed.size(), 1U);
  EXPECT_LT(followed.size(), 8U);  // it does not waver
}

TEST(AutoPolicy, BeginsWithThePlan) {
  PolicyOptions options = with_costs(25);
  options.plan = {3, 20, 45};
  AutoPolicy policy(kShape, 24, options);
  Residency residency(kShape, 24);
  policy.start(residency);
  for (const ExpertIndex expert : options.plan) EXPECT_TRUE(residency.contains(expert));
  EXPECT_EQ(policy.following().rfind("plan+path", 0), 0U);
}

}  // namespace
}  // namespace haq::experts
