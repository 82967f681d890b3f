// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/experts/placement/placement.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "engine/base/error.h"
#include "engine/experts/placement/judged_plan.h"
#include "engine/experts/placement/plan_export.h"
#include "engine/experts/placement/trace_edit.h"
#include "engine/experts/placement/two_stage.h"
#include "tests/engine/experts/random_paths.h"

namespace haq::experts {
namespace {

using testing::HasSubstr;

std::vector<ExpertIndex> pins(const Plan& plan) {
  std::vector<ExpertIndex> all;
  for (const Plan::Pin& pin : plan.pinned) all.push_back(plan.shape.index(pin.layer, pin.expert));
  return all;
}

Plan place_one(const Trace& trace, const PlacementOptions& options) {
  const Trace* one[] = {&trace};
  return place(one, options);
}

PlanScore score_one(const Plan& plan, const Trace& trace) {
  const Trace* one[] = {&trace};
  return score_plan(plan, one, 2, 0.75);
}

PlacementOptions with(const std::string& strategy, int budget) {
  PlacementOptions options;
  options.strategy = strategy;
  options.budget = budget;
  return options;
}

class EveryStrategy : public testing::TestWithParam<std::string> {};

TEST_P(EveryStrategy, UsesTheBudgetWithoutRepeatsAndIsDeterministic) {
  const Trace trace = random_paths({4, 8, 2}, 15, 20, 3);
  for (const int budget : {0, 1, 3, 8, 31, 32}) {
    SCOPED_TRACE(budget);
    const Plan plan = place_one(trace, with(GetParam(), budget));
    const std::vector<ExpertIndex> chosen = pins(plan);
    EXPECT_EQ(chosen.size(), static_cast<std::size_t>(budget));
    EXPECT_EQ(std::set<ExpertIndex>(chosen.begin(), chosen.end()).size(), chosen.size());
    EXPECT_EQ(to_json(place_one(trace, with(GetParam(), budget))), to_json(plan));
    // What is written can be read again.
    EXPECT_EQ(to_json(plan_from_json(to_json(plan), "plan")), to_json(plan));
  }
}

TEST_P(EveryStrategy, WorksOnOneToken) {
  const Trace trace = random_paths({3, 4, 2}, 1, 1, 1);
  EXPECT_EQ(place_one(trace, with(GetParam(), 5)).pinned.size(), 5U);
}

INSTANTIATE_TEST_SUITE_P(Placement, EveryStrategy, testing::ValuesIn(placement_strategies()),
                         [](const auto& parameter) {
                           std::string name = parameter.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST(Placement, FrequencyTakesTheMostUsedAndFrequencyLayerTheQuotas) {
  Trace trace;
  trace.shape = {2, 3, 1};
  trace.ids = {2, 0, 2, 0, 2, 1, 1, 0};
  for (int token = 0; token < 4; ++token) trace.batches.push_back({token, 1, token, true});
  EXPECT_EQ(pins(place_one(trace, with("frequency", 3))), (std::vector<ExpertIndex>{2, 3, 1}));
  EXPECT_EQ(pins(place_one(trace, with("frequency-layer", 3))),
            (std::vector<ExpertIndex>{2, 3, 1}));
  EXPECT_EQ(pins(place_one(trace, with("uniform", 3))), (std::vector<ExpertIndex>{0, 3, 1}));
}

TEST(Placement, LayerOptimumCountsAnExpertOncePerStep) {
  Trace trace;
  trace.shape = {1, 3, 1};
  trace.ids = {0, 0, 0, 1, 1};
  trace.batches = {{0, 3, 0, false}, {3, 1, 0, true}, {4, 1, 0, true}};
  EXPECT_EQ(pins(place_one(trace, with("frequency", 1))), (std::vector<ExpertIndex>{0}));
  EXPECT_EQ(pins(place_one(trace, with("layer-optimum", 1))), (std::vector<ExpertIndex>{1}));
}

TEST(Placement, LayerOptimumHasTheMostHitsOfAllSets) {
  Trace trace = random_paths({2, 5, 2}, 3, 12, 9);
  trace.batches = {{0, 10, 0, false}, {10, 2, 0, true}, {12, 24, 1, false}};
  const double best = score_one(place_one(trace, with("layer-optimum", 4)), trace).hit_rate;
  for (unsigned set = 0; set < (1U << 10); ++set) {
    if (__builtin_popcount(set) != 4) continue;
    Plan plan;
    plan.shape = trace.shape;
    for (int e = 0; e < 10; ++e) {
      if ((set >> e & 1U) != 0) plan.pinned.push_back({e / 5, e % 5, 1});
    }
    ASSERT_LE(score_one(plan, trace).hit_rate, best + 1e-12);
  }
}

TEST(TwoStage, KeepsTheShareGivenAndMarksTheStages) {
  const Trace trace = random_paths({4, 8, 2}, 20, 20, 5);
  PlacementOptions options = with("two-stage", 16);
  for (const double share : {0.0, 0.25, 0.5}) {
    options.stage1_share = share;
    const Plan plan = place_one(trace, options);
    EXPECT_EQ(std::count_if(plan.pinned.begin(), plan.pinned.end(),
                            [](const Plan::Pin& pin) { return pin.stage == 1; }),
              static_cast<std::ptrdiff_t>(share * 16));
    EXPECT_EQ(plan.scores.at("stage1_share"), share);
  }
}

TEST(TwoStage, SupplementsTheWeakestLayers) {
  // Layer 0 always chooses expert 0, layer 1 spreads over all four.
  Trace trace;
  trace.shape = {2, 4, 1};
  for (std::uint16_t token = 0; token < 40; ++token) {
    trace.ids.push_back(0);
    trace.ids.push_back(static_cast<std::uint16_t>(token % 4));
    trace.batches.push_back({token, 1, token / 2, true});
  }
  PlacementOptions options = with("two-stage", 4);
  options.stage1_share = 0.25;
  options.run_layers = 1;
  const Plan plan = place_one(trace, options);
  EXPECT_EQ(pins(plan), (std::vector<ExpertIndex>{0, 4, 5, 6}));
}

TEST(TwoStage, ChoosesLessSpreadThanFrequency) {
  const Trace train = random_paths({6, 16, 2}, 60, 30, 7),
              held_out = random_paths({6, 16, 2}, 60, 30, 8);
  const PlanScore frequency = score_one(place_one(train, with("frequency", 24)), held_out);
  const Plan plan = place_one(train, with("two-stage", 24));
  const PlanScore both = score_one(plan, held_out);
  EXPECT_LT(both.per_layer_std, frequency.per_layer_std);
  EXPECT_GE(both.hit_rate, frequency.hit_low);
  EXPECT_EQ(plan.scores.at("validation").at("candidates").size(), 22U);
}

TEST(TwoStage, WeighsPromptsWhenTold) {
  // One long prompt likes expert 1, two short ones expert 0.
  Trace trace;
  trace.shape = {1, 2, 1};
  for (int prompt = 0; prompt < 12; ++prompt) {
    for (int token = 0; token < (prompt == 0 ? 100 : 2); ++token) {
      trace.batches.push_back({trace.tokens(), 1, prompt, true});
      trace.ids.push_back(prompt == 0 ? 1 : 0);
    }
  }
  PlacementOptions options = with("two-stage", 1);
  options.weighting = "tokens";
  EXPECT_EQ(pins(place_one(trace, options)), (std::vector<ExpertIndex>{1}));
  options.weighting = "prompts";
  EXPECT_EQ(pins(place_one(trace, options)), (std::vector<ExpertIndex>{0}));
}

TEST(TwoStage, LearnsOnceForEveryBudget) {
  const Trace trace = random_paths({4, 8, 2}, 15, 20, 3);
  const Trace* one[] = {&trace};
  const TwoStagePlacer placer(one, with("two-stage", 32));
  for (const int budget : {0, 5, 17, 32}) {
    EXPECT_EQ(to_json(placer.plan(budget)), to_json(place_one(trace, with("two-stage", budget))));
  }
  EXPECT_THROW(placer.plan(33), Error);
  EXPECT_THROW(placer.plan(-1), Error);
}

TEST(JudgedPlan, StandsBesidePlainStrategies) {
  const Trace train = random_paths({4, 8, 2}, 15, 20, 3), other = random_paths({4, 8, 2}, 12, 9, 4);
  const Trace* trained[] = {&train};
  const Trace* held_out[] = {&other};
  const JudgedPlan judged = place_and_judge(trained, held_out, with("two-stage", 8));
  ASSERT_TRUE(judged.held_out);
  EXPECT_EQ(judged.held_out->tokens, 108);
  ASSERT_EQ(judged.compared.size(), 2U);
  EXPECT_EQ(judged.compared[0].strategy, "frequency");
  EXPECT_NEAR(judged.compared[0].difference.mean,
              judged.held_out->hit_rate - judged.compared[0].score.hit_rate, 1e-12);
  EXPECT_EQ(judged.plan.scores.at("held_out").at("hit_rate"), judged.held_out->hit_rate);
  EXPECT_FALSE(judged.plan.scores.at("compared").at(0).at("in_sample"));
  const JudgedPlan alone = place_and_judge(trained, {}, with("frequency", 8));
  EXPECT_FALSE(alone.held_out);
  ASSERT_EQ(alone.compared.size(), 1U);
  EXPECT_TRUE(alone.plan.scores.at("held_out").is_null());
  EXPECT_TRUE(alone.plan.scores.at("compared").at(0).at("in_sample"));
}

TEST(TraceEdit, SplitsAtWholeBatchesAndJoinsAgain) {
  Trace trace = random_paths({2, 4, 1}, 2, 5, 1);
  trace.batches = {{0, 3, 0, false}, {3, 1, 0, true}, {4, 6, 1, false}};
  const auto [first, rest] = split_trace(trace, 6);
  EXPECT_EQ(first.tokens(), 4);
  EXPECT_EQ(rest.tokens(), 6);
  EXPECT_EQ(rest.batches.front().first_token, 0);
  const Trace* both[] = {&first, &rest};
  const Trace joined = join_traces(both);
  EXPECT_EQ(joined.ids, trace.ids);
  ASSERT_EQ(joined.batches.size(), 3U);
  EXPECT_EQ(joined.batches[2].first_token, 4);
  EXPECT_EQ(joined.batches[2].prompt, 1);
  EXPECT_EQ(split_trace(trace, 0).first.tokens(), 0);
  EXPECT_EQ(split_trace(trace, 100).second.tokens(), 0);
  const Trace other = random_paths({3, 4, 1}, 2, 5, 1);
  const Trace* unlike[] = {&trace, &other};
  EXPECT_THROW(join_traces(unlike), Error);
}

TEST(PlanExport, NamesTheLayersThatThePlanUsesMost) {
  Plan plan;
  plan.shape = {3, 2, 1};
  plan.pinned = {{1, 0, 1}, {1, 1, 1}, {2, 1, 1}};
  EXPECT_EQ(plan_csv(plan), "layer,expert,stage\n1,0,1\n1,1,1\n2,1,1\n");
  const LlamaCppExport found = llama_cpp_export(plan, {});
  EXPECT_EQ(found.device_layers, std::vector<int>{1});
  EXPECT_EQ(found.override_tensor,
            "-ngl 99 -ot 'blk\\.(0|2)\\.ffn_(gate|up|down|gate_up)_exps=CPU'");
  EXPECT_EQ(found.n_cpu_moe, "-ngl 99 --n-cpu-moe 2");
  EXPECT_EQ(found.resident_experts, 2);
  EXPECT_EQ(found.pinned_kept, 2);
  EXPECT_DOUBLE_EQ(found.hit_rate, 1.0 / 3);
  // Two dense layers come first.
  const LlamaCppExport numbered = llama_cpp_export(plan, {2, 3, 4});
  EXPECT_EQ(numbered.device_layers, std::vector<int>{3});
  EXPECT_EQ(numbered.n_cpu_moe, "-ngl 99 --n-cpu-moe 4");
  EXPECT_THROW(llama_cpp_export(plan, {1}), Error);
  plan.pinned = {{0, 0, 1}, {0, 1, 1}, {1, 0, 1}, {1, 1, 1}, {2, 0, 1}, {2, 1, 1}};
  EXPECT_EQ(llama_cpp_export(plan, {}).override_tensor, "-ngl 99");
  plan.pinned.clear();
  EXPECT_EQ(llama_cpp_export(plan, {}).n_cpu_moe, "-ngl 99 --n-cpu-moe 3");
}

TEST(Placement, RefusesWhatMakesNoSense) {
  const Trace trace = random_paths({2, 4, 2}, 3, 4, 1), other = random_paths({2, 5, 2}, 3, 4, 1);
  const auto refused = [&](PlacementOptions options) {
    try {
      place_one(trace, options);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
      return std::string(error.what());
    }
    return std::string("no error");
  };
  EXPECT_THAT(refused(with("best", 1)), HasSubstr("two-stage"));
  EXPECT_THAT(refused(with("frequency", 9)), HasSubstr("0 to 8"));
  EXPECT_THAT(refused(with("frequency", -1)), HasSubstr("budget is -1"));
  PlacementOptions options = with("two-stage", 2);
  options.stage1_share = 1.5;
  EXPECT_THAT(refused(options), HasSubstr("stage1_share is 1.5"));
  options.stage1_share = std::nan("");
  EXPECT_THAT(refused(options), HasSubstr("stage1_share"));
  options = with("two-stage", 2);
  options.covered_share = 0;
  EXPECT_THAT(refused(options), HasSubstr("covered_share"));
  options = with("two-stage", 2);
  options.run_layers = 0;
  EXPECT_THAT(refused(options), HasSubstr("run_layers"));
  options = with("two-stage", 2);
  options.validation = 0.9;
  EXPECT_THAT(refused(options), HasSubstr("validation"));
  options = with("two-stage", 2);
  options.weighting = "words";
  EXPECT_THAT(refused(options), HasSubstr("weighting"));
  EXPECT_THROW(place({}, with("two-stage", 1)), Error);
  const Trace* both[] = {&trace, &other};
  EXPECT_THROW(place(both, with("two-stage", 1)), Error);
}

TEST(Placement, CanBeCancelled) {
  const Trace trace = random_paths({2, 4, 2}, 12, 4, 1);
  const Trace* one[] = {&trace};
  const CancelToken cancel;
  cancel.cancel();
  EXPECT_THROW(place(one, with("two-stage", 3), {}, cancel), Error);
}

TEST(PlanScore, CountsAsAReplayOfItsStepsDoes) {
  Trace trace = random_paths({3, 8, 2}, 12, 6, 4);
  trace.batches = {{0, 30, 0, false}, {30, 1, 0, true}, {31, 41, 1, false}};
  const Plan plan = place_one(trace, with("frequency", 7));
  const std::vector<ExpertIndex> resident = pins(plan);
  const Steps steps(trace);
  std::int64_t hits = 0;
  for (std::int64_t i = 0; i < steps.count(); ++i) {
    for (const std::uint16_t e : steps.step(i).experts) {
      const ExpertIndex index = trace.shape.index(steps.step(i).layer, e);
      hits += std::count(resident.begin(), resident.end(), index);
    }
  }
  const PlanScore score = score_one(plan, trace);
  EXPECT_EQ(score.accesses, steps.accesses());
  EXPECT_EQ(std::lround(score.hit_rate * static_cast<double>(score.accesses)), hits);
  EXPECT_EQ(score.tokens, 72);
}

TEST(PlanScore, KnowsItsBounds) {
  const Trace trace = random_paths({3, 8, 2}, 12, 6, 4);
  const PlanScore all = score_one(place_one(trace, with("frequency", 24)), trace);
  EXPECT_EQ(all.hit_rate, 1);
  EXPECT_EQ(all.path_coverage, 1);
  EXPECT_NEAR(all.per_layer_std, 0, 1e-9);
  const PlanScore none = score_one(place_one(trace, with("frequency", 0)), trace);
  EXPECT_EQ(none.hit_rate, 0);
  EXPECT_EQ(none.path_coverage, 0);
  const PlanScore some = score_one(place_one(trace, with("frequency", 10)), trace);
  EXPECT_LT(some.hit_low, some.hit_rate);
  EXPECT_GT(some.hit_high, some.hit_rate);
}

TEST(PlanScore, CountsAPathAsCoveredByItsShare) {
  Trace trace;
  trace.shape = {2, 4, 2};
  trace.ids = {0, 1, 0, 1, 0, 1, 2, 3};  // two tokens
  trace.batches = {{0, 1, 0, true}, {1, 1, 1, true}};
  Plan plan;
  plan.shape = trace.shape;
  plan.pinned = {{0, 0, 1}, {0, 1, 1}, {1, 0, 1}};  // 3 of 4 of the first path, 2 of 4 of the other
  const Trace* one[] = {&trace};
  EXPECT_EQ(score_plan(plan, one, 2, 0.75).path_coverage, 0.5);
  EXPECT_EQ(score_plan(plan, one, 2, 0.5).path_coverage, 1);
  EXPECT_EQ(score_plan(plan, one, 2, 1).path_coverage, 0);
  EXPECT_EQ(score_plan(plan, one, 1, 1).path_coverage, 0.5);
}

TEST(PlanScore, ComparesPlansOnTheSamePrompts) {
  const Trace trace = random_paths({3, 8, 2}, 30, 6, 4);
  const Trace* one[] = {&trace};
  const Plan good = place_one(trace, with("frequency", 10));
  const Plan poor = place_one(trace, with("uniform", 10));
  const PlanDifference difference = compare_plans(good, poor, one);
  EXPECT_NEAR(difference.mean, score_one(good, trace).hit_rate - score_one(poor, trace).hit_rate,
              1e-12);
  EXPECT_LE(difference.low, difference.mean);
  EXPECT_GE(difference.high, difference.mean);
  EXPECT_EQ(compare_plans(good, good, one).high, 0);
  Plan wrong = good;
  wrong.shape.experts = 9;
  EXPECT_THROW(compare_plans(wrong, good, one), Error);
  EXPECT_THROW(score_plan(wrong, one, 2, 1), Error);
}

}  // namespace
}  // namespace haq::experts
