// SPDX-License-Identifier: GPL-3.0-or-later
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>

#include "engine/base/error.h"
#include "engine/experts/policies/policy.h"

namespace haq::experts {
namespace {

struct Chosen {
  int layer = 0, tokens = 1;
  std::vector<std::uint16_t> experts, counts;
  Step step() const { return {layer, tokens, experts, counts}; }
};

/// Steps in the order of a model: decode tokens with top_k experts a layer, now and then a batch.
std::vector<Chosen> random_steps(const ExpertShape& shape, int batches, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<std::uint16_t> all(static_cast<std::size_t>(shape.experts));
  std::iota(all.begin(), all.end(), std::uint16_t{0});
  std::vector<Chosen> steps;
  for (int batch = 0; batch < batches; ++batch) {
    const int tokens = random() % 8 == 0 ? 1 + static_cast<int>(random() % 300) : 1;
    for (int layer = 0; layer < shape.layers; ++layer) {
      std::shuffle(all.begin(), all.end(), random);
      const auto distinct = std::min<std::size_t>(
          all.size(), static_cast<std::size_t>(shape.top_k) * static_cast<std::size_t>(tokens));
      Chosen chosen{layer, tokens, {all.begin(), all.begin() + static_cast<long>(distinct)}, {}};
      for (std::size_t i = 0; i < distinct; ++i) {
        chosen.counts.push_back(
            static_cast<std::uint16_t>(1 + random() % static_cast<unsigned>(tokens)));
      }
      steps.push_back(chosen);
    }
  }
  return steps;
}

std::vector<ExpertIndex> residents(const Residency& residency) {
  std::vector<ExpertIndex> all;
  for (ExpertIndex i = 0; i < residency.shape().total(); ++i) {
    if (residency.contains(i)) all.push_back(i);
  }
  return all;
}

struct Case {
  std::string name;
  PathGoal goal = PathGoal::kTime;
};

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const std::string& name : policy_names()) {
    all.push_back({name});
    if (name.find("path") != std::string::npos) all.push_back({name, PathGoal::kHits});
  }
  return all;
}

PolicyOptions options_for(const Case& each, const ExpertShape& shape, int capacity) {
  PolicyOptions options;
  options.path_goal = each.goal;
  const bool planned = each.name == "static" || each.name.starts_with("plan+");
  for (int i = 0; planned && i < capacity / 2; ++i) {
    options.plan.push_back((i * 7) % shape.total());
  }
  std::sort(options.plan.begin(), options.plan.end());
  options.plan.erase(std::unique(options.plan.begin(), options.plan.end()), options.plan.end());
  return options;
}

TEST(EveryPolicy, KeepsTheStepThePlanAndTheCapacity) {
  const ExpertShape shape{3, 10, 4};
  const std::vector<Chosen> steps = random_steps(shape, 200, 7);
  for (const Case& each : cases()) {
    for (const int capacity : {0, 1, 2, 3, 5, 11, 17, 29, 30}) {
      SCOPED_TRACE(each.name + " with " + std::to_string(capacity) + " slots");
      const PolicyOptions options = options_for(each, shape, capacity);
      const auto policy = make_policy(each.name, shape, capacity, options);
      EXPECT_EQ(policy->name(), options.plan.empty() && each.name.starts_with("plan+")
                                    ? each.name.substr(5)
                                    : each.name);
      Residency residency(shape, capacity);
      policy->start(residency);
      for (const Chosen& chosen : steps) {
        std::vector<ExpertIndex> kept = options.plan;
        for (const std::uint16_t expert : chosen.experts) {
          const ExpertIndex index = shape.index(chosen.layer, expert);
          if (residency.contains(index)) kept.push_back(index);
        }
        policy->end_step(chosen.step(), residency);
        for (const ExpertIndex index : kept) ASSERT_TRUE(residency.contains(index));
        ASSERT_LE(residency.used(), capacity);
      }
    }
  }
}

TEST(EveryPolicy, DecidesTheSameForTheSameSteps) {
  const ExpertShape shape{4, 12, 3};
  const std::vector<Chosen> steps = random_steps(shape, 300, 11);
  for (const Case& each : cases()) {
    SCOPED_TRACE(each.name);
    const PolicyOptions options = options_for(each, shape, 12);
    const auto one = make_policy(each.name, shape, 12, options);
    const auto two = make_policy(each.name, shape, 12, options);
    Residency first(shape, 12), second(shape, 12);
    one->start(first);
    two->start(second);
    for (const Chosen& chosen : steps) {
      one->end_step(chosen.step(), first);
      two->end_step(chosen.step(), second);
      ASSERT_EQ(residents(first), residents(second));
      ASSERT_EQ(first.uploads(), second.uploads());
    }
  }
}

TEST(EveryPolicy, FillsNothingThatItCannotHold) {
  // Fewer slots than layers: some layers have no quota at all.
  const ExpertShape shape{6, 8, 4};
  const std::vector<Chosen> steps = random_steps(shape, 60, 3);
  for (const Case& each : cases()) {
    SCOPED_TRACE(each.name);
    const auto policy = make_policy(each.name, shape, 2, options_for(each, shape, 2));
    Residency residency(shape, 2);
    policy->start(residency);
    for (const Chosen& chosen : steps) policy->end_step(chosen.step(), residency);
    EXPECT_LE(residency.used(), 2);
  }
}

}  // namespace
}  // namespace haq::experts
