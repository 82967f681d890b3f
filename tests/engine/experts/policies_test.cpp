// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/experts/policies/policies.h"
#include "engine/experts/trace.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "engine/base/error.h"

namespace haq::experts {
namespace {

using testing::ElementsAre;
using testing::UnorderedElementsAre;

/// Runs steps through a policy and says what is resident.
class Driver {
 public:
  Driver(const std::string& name, const ExpertShape& shape, int capacity,
         const PolicyOptions& options = {})
      : policy_(make_policy(name, shape, capacity, options)), residency_(shape, capacity) {
    policy_->start(residency_);
  }
  void step(int layer, const std::vector<std::uint16_t>& experts, int tokens = 1) {
    const std::vector<std::uint16_t> counts(experts.size(), 1);
    policy_->end_step({layer, tokens, experts, counts}, residency_);
  }
  std::vector<ExpertIndex> resident() const {
    std::vector<ExpertIndex> all;
    for (ExpertIndex i = 0; i < residency_.shape().total(); ++i) {
      if (residency_.contains(i)) all.push_back(i);
    }
    return all;
  }
  const Residency& residency() const { return residency_; }

 private:
  std::unique_ptr<Policy> policy_;
  Residency residency_;
};

TEST(Lru, EvictsTheLeastRecentAcrossLayers) {
  Driver run("lru", {2, 4, 2}, 3);
  run.step(0, {0, 1});
  run.step(1, {2});
  EXPECT_THAT(run.resident(), ElementsAre(0, 1, 6));
  run.step(0, {0});  // 1 is now the oldest
  run.step(1, {3});
  EXPECT_THAT(run.resident(), ElementsAre(0, 6, 7));
}

TEST(Lru, NeverEvictsAnExpertOfTheSameStep) {
  Driver run("lru", {1, 6, 4}, 2);
  run.step(0, {0, 1});
  // 1 is the most recent but in the step; 0 goes first, then nothing is left to give way.
  run.step(0, {2, 1, 3, 4});
  EXPECT_THAT(run.resident(), ElementsAre(1, 2));
  EXPECT_EQ(run.residency().uploads(), 3);
}

TEST(Lru, TouchesInTheOrderOfTheStep) {
  Driver run("lru", {1, 6, 2}, 2);
  run.step(0, {3, 2});  // 3 is older than 2
  run.step(0, {4});
  EXPECT_THAT(run.resident(), ElementsAre(2, 4));
}

TEST(LruLayer, KeepsEachLayersQuota) {
  Driver run("lru-layer", {2, 4, 2}, 3);  // quotas 2 and 1
  run.step(0, {0, 1});
  run.step(1, {0, 1});
  EXPECT_THAT(run.resident(), ElementsAre(0, 1, 4));
  run.step(1, {2});
  EXPECT_THAT(run.resident(), ElementsAre(0, 1, 6));
  run.step(0, {3, 1});
  EXPECT_THAT(run.resident(), ElementsAre(1, 3, 6));
}

TEST(Ema, AdmitsIntoFreeSlotsAndThenOnlyWhatIsClearlyBetter) {
  PolicyOptions options;
  options.decay = 0.5;
  options.margin = 1.5;
  options.uploads_per_step = 1;
  Driver run("ema", {1, 4, 1}, 1, options);
  run.step(0, {0});
  EXPECT_THAT(run.resident(), ElementsAre(0));
  run.step(0, {0});  // score of 0: 1.5
  run.step(0, {1});  // 0: 0.75, 1: 1 <= 1.5 x 0.75
  EXPECT_THAT(run.resident(), ElementsAre(0));
  run.step(0, {1});  // 0: 0.375, 1: 1.5
  EXPECT_THAT(run.resident(), ElementsAre(1));
}

TEST(Ema, KeepsTheBudgetOfUploadsAndTheQuota) {
  PolicyOptions options;
  options.uploads_per_step = 2;
  Driver run("ema", {2, 8, 4}, 8, options);
  run.step(0, {5, 6, 7, 1});
  EXPECT_THAT(run.resident(), ElementsAre(5, 6));  // equal scores: in the order of the step
  for (int i = 0; i < 10; ++i) run.step(0, {5, 6, 7, 1});
  EXPECT_THAT(run.resident(), ElementsAre(1, 5, 6, 7));
  for (int i = 0; i < 30; ++i) run.step(0, {0, 2, 3, 4});
  EXPECT_EQ(run.residency().used_in_layer(0), 4);
  EXPECT_THAT(run.resident(), ElementsAre(0, 2, 3, 4));
}

TEST(Ema, SurvivesLongBatchesAndLongRuns) {
  PolicyOptions options;
  options.decay = 0.1;
  Driver run("ema", {1, 4, 1}, 2, options);
  run.step(0, {0}, 8192);  // everything older has decayed to nothing
  for (std::uint16_t i = 0; i < 500; ++i) run.step(0, {static_cast<std::uint16_t>(i % 2 + 1)});
  EXPECT_THAT(run.resident(), UnorderedElementsAre(1, 2));
}

TEST(StaticPolicy, HoldsItsPlan) {
  PolicyOptions options;
  options.plan = {1, 6};
  Driver run("static", {2, 4, 2}, 3, options);
  run.step(0, {0, 3});
  EXPECT_THAT(run.resident(), ElementsAre(1, 6));
}

TEST(Policies, NeverLoseAnExpertOfTheStepNorExceedTheCapacity) {
  std::mt19937 random(7);
  for (const std::string name : {"lru", "lru-layer", "ema"}) {
    for (int capacity = 0; capacity <= 24; capacity += 3) {
      const ExpertShape shape{3, 8, 3};
      Driver run(name, shape, capacity);
      for (int i = 0; i < 600; ++i) {
        std::vector<std::uint16_t> step;
        for (std::uint16_t e = 0; e < 8; ++e) {
          if (random() % 3 == 0) step.push_back(e);
        }
        std::shuffle(step.begin(), step.end(), random);
        const int layer = i % 3;
        std::vector<ExpertIndex> before;
        for (const std::uint16_t e : step) {
          if (run.residency().contains(shape.index(layer, e)))
            before.push_back(shape.index(layer, e));
        }
        run.step(layer, step);
        for (const ExpertIndex e : before) ASSERT_TRUE(run.residency().contains(e)) << name;
        ASSERT_LE(run.residency().used(), capacity);
      }
    }
  }
}

TEST(Policies, BadOptionsAreNamed) {
  const ExpertShape shape{2, 4, 2};
  const auto message = [&](const std::string& name, const PolicyOptions& options) {
    try {
      make_policy(name, shape, 2, options);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("accepted");
  };
  PolicyOptions options;
  options.decay = 1;
  EXPECT_THAT(message("ema", options), testing::HasSubstr("decay"));
  options = {};
  options.plan = {0, 1, 2};
  EXPECT_THAT(message("static", options), testing::HasSubstr("does not fit 2 slots"));
  options.plan = {3, 3};
  EXPECT_THAT(message("static", options), testing::HasSubstr("layer 0 expert 3 occurs twice"));
  options.plan = {8};
  EXPECT_THAT(message("static", options), testing::HasSubstr("outside"));
  EXPECT_THAT(message("fifo", {}), testing::HasSubstr("lru-layer"));
}

TEST(PathGoals, AreReadAndWritten) {
  for (const char* word : {"hits", "time"}) {
    EXPECT_STREQ(to_string(parse_path_goal(word).value()), word);
  }
  EXPECT_FALSE(parse_path_goal("speed"));
}

TEST(MostUsed, TiesGoToTheLowerIndex) {
  const ExpertShape shape{2, 3, 1};
  const std::vector<std::int64_t> uses = {5, 9, 5, 1, 1, 7};
  EXPECT_THAT(most_used(shape, uses, 3, false), ElementsAre(1, 5, 0));
  EXPECT_THAT(most_used(shape, uses, 3, true), ElementsAre(1, 0, 5));
  EXPECT_THAT(most_used(shape, uses, 0, false), ElementsAre());
}

}  // namespace
}  // namespace haq::experts
