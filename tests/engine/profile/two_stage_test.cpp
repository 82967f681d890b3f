// SPDX-License-Identifier: GPL-3.0-or-later
#include <gtest/gtest.h>

#include "engine/experts/placement/placement.h"
#include "engine/profile/replay/replay.h"
#include "tests/support/paths.h"

/// Two-stage placement on a real trace: trained on the first half of the prompts, judged by the
/// others.
namespace haq::profile {
namespace {

constexpr std::int64_t kTrained = 54781;

Trace part(const Trace& whole, std::int64_t first, std::int64_t last) {
  Trace trace;
  trace.shape = whole.shape;
  const std::int64_t row = std::int64_t{trace.shape.layers} * trace.shape.top_k;
  trace.ids.assign(whole.ids.begin() + first * row, whole.ids.begin() + last * row);
  for (Trace::Batch batch : whole.batches) {
    if (batch.first_token < first || batch.first_token >= last) continue;
    batch.first_token -= first;
    trace.batches.push_back(batch);
  }
  return trace;
}

TEST(TwoStageOnARealTrace, IsNoWorseThanFrequencyAndEvenerBetweenLayers) {
  HAQ_REQUIRE_SHARED();
  const Trace whole = read_trace(test::shared_dir() / "data" / "traces" / "gpt-oss-20b");
  const Trace train = part(whole, 0, kTrained), held_out = part(whole, kTrained, whole.tokens());
  const Trace* trained[] = {&train};
  const Trace* counted[] = {&held_out};
  for (const int budget : {96, 192}) {
    SCOPED_TRACE(budget);
    experts::PlacementOptions options;
    options.budget = budget;
    const experts::Plan two_stage = experts::place(trained, options);
    options.strategy = "frequency";
    const experts::Plan frequency = experts::place(trained, options);
    const experts::PlanScore ours = experts::score_plan(two_stage, counted, 2, 0.75);
    const experts::PlanScore theirs = experts::score_plan(frequency, counted, 2, 0.75);
    EXPECT_GE(ours.hit_rate, theirs.hit_low);
    EXPECT_LT(ours.per_layer_std, theirs.per_layer_std);
  }
}

TEST(TwoStageOnARealTrace, ScoresAsAReplayOfTheStaticPlan) {
  HAQ_REQUIRE_SHARED();
  const Trace trace =
      read_trace(test::shared_dir() / "data" / "traces" / "qwen3-30b-a3b.route.csv");
  const Trace* one[] = {&trace};
  experts::PlacementOptions options;
  options.budget = 1536;
  const experts::Plan plan = experts::place(one, options);
  experts::PolicyOptions policy;
  for (const experts::Plan::Pin& pin : plan.pinned) {
    policy.plan.push_back(plan.shape.index(pin.layer, pin.expert));
  }
  const Steps steps(trace);
  const auto fixed = experts::make_policy("static", trace.shape, options.budget, policy);
  const ReplayResult replayed = replay(steps, *fixed, options.budget, {});
  const experts::PlanScore score = experts::score_plan(plan, one, 2, 0.75);
  EXPECT_EQ(score.accesses, replayed.accesses);
  EXPECT_NEAR(score.hit_rate, replayed.hit_rate, 1e-12);
  EXPECT_NEAR(score.per_layer_std, replayed.per_layer_std, 1e-9);
}

}  // namespace
}  // namespace haq::profile
