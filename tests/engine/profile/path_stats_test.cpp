// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/profile/statistics/path_stats.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/engine/experts/random_paths.h"
#include "tests/support/traces.h"

namespace haq::profile {
namespace {

using experts::Trace;
using test::trace_of;
using testing::ElementsAre;

PathStats stats_of(const Trace& trace, std::optional<bool> decode = {},
                   const PathStatsOptions& options = {}, int threads = 1) {
  ThreadPool pool(threads);
  return path_stats(trace, decode, options, pool);
}

TEST(PathStats, MeasuresLoad) {
  const LayerStats layer = stats_of(trace_of({1, 4, 1}, {0, 0, 1, 2})).layers[0];
  EXPECT_THAT(layer.uses, ElementsAre(2, 1, 1, 0));
  EXPECT_EQ(layer.choices, 4);
  EXPECT_DOUBLE_EQ(layer.entropy_bits, 1.5);
  EXPECT_DOUBLE_EQ(layer.entropy_share, 0.75);
  EXPECT_DOUBLE_EQ(layer.max_over_mean, 2);
  EXPECT_DOUBLE_EQ(layer.variation, std::sqrt(0.5));
  EXPECT_EQ(layer.unused, 1);
  EXPECT_EQ(layer.dead, 1);
  EXPECT_EQ(layer.cold, 0);
}

TEST(PathStats, TellsDeadFromCold) {
  std::vector<std::uint16_t> ids(4000, 0);
  std::fill(ids.begin(), ids.begin() + 1900, std::uint16_t{1});
  for (int i = 0; i < 3; ++i) ids[static_cast<std::size_t>(i)] = 2;    // 0.075 %: dead
  for (int i = 10; i < 20; ++i) ids[static_cast<std::size_t>(i)] = 3;  // 0.25 %, below 2.5 %: cold
  const LayerStats layer = stats_of(trace_of({1, 4, 1}, ids)).layers[0];
  EXPECT_EQ(layer.dead, 1);
  EXPECT_EQ(layer.cold, 1);
  EXPECT_EQ(layer.unused, 0);
}

TEST(PathStats, MeasuresReuseWithinAPrompt) {
  Trace trace = trace_of({1, 4, 1}, {0, 1, 0, 0, 1, 0});
  // Distances 2, 1 (of 0) and 3 (of 1), then 0 again after 2.
  LayerStats layer = stats_of(trace).layers[0];
  EXPECT_DOUBLE_EQ(layer.first_use_share, 2.0 / 6);
  EXPECT_EQ(layer.reuse_p10, 1);
  EXPECT_EQ(layer.reuse_median, 2);
  EXPECT_DOUBLE_EQ(layer.next_token_overlap, 1.0 / 5);
  for (std::size_t i = 3; i < 6; ++i) trace.batches[i].prompt = 1;
  layer = stats_of(trace).layers[0];  // a new prompt knows nothing of the one before
  EXPECT_DOUBLE_EQ(layer.first_use_share, 4.0 / 6);
  EXPECT_EQ(layer.reuse_median, 2);
  EXPECT_EQ(layer.next_token_overlap, 0);
}

TEST(PathStats, FindsWhatOneLayerSaysOfTheNext) {
  std::vector<std::uint16_t> bound, free;
  std::mt19937 random(1);
  for (int i = 0; i < 20000; ++i) {
    const auto e = static_cast<std::uint16_t>(random() % 4);
    bound.push_back(e);
    bound.push_back(static_cast<std::uint16_t>((e + 1) % 4));
    free.push_back(e);
    free.push_back(static_cast<std::uint16_t>(random() % 4));
  }
  const PathStats tied = stats_of(trace_of({2, 4, 1}, bound));
  EXPECT_NEAR(tied.layers[0].next_layer_bits, 2, 0.01);
  ASSERT_EQ(tied.layers[0].pairs.size(), 4U);
  for (const ExpertPair& pair : tied.layers[0].pairs) {
    EXPECT_EQ(pair.next, (pair.expert + 1) % 4);
    EXPECT_NEAR(pair.lift, 4, 0.2);
  }
  EXPECT_EQ(tied.layers[1].next_layer_bits, 0);
  EXPECT_TRUE(tied.layers[1].pairs.empty());
  EXPECT_LT(stats_of(trace_of({2, 4, 1}, free)).layers[0].next_layer_bits, 0.001);
}

TEST(PathStats, CountsPathsOverRunsOfLayers) {
  const PathStats stats =
      stats_of(trace_of({3, 4, 2}, {0, 1, 2, 3, 0, 1, 1, 0, 3, 2, 2, 3, 0, 1, 2, 0, 0, 1}));
  ASSERT_EQ(stats.runs.size(), 2U);
  EXPECT_EQ(stats.runs[0].run_layers, 2);
  EXPECT_EQ(stats.runs[0].total, 6);
  EXPECT_EQ(stats.runs[0].distinct, 5);
  EXPECT_EQ(stats.runs[0].repeated, 2);
  ASSERT_EQ(stats.runs[0].most_frequent.size(), 1U);
  EXPECT_EQ(stats.runs[0].most_frequent[0].first_layer, 0);
  EXPECT_EQ(stats.runs[0].most_frequent[0].count, 2);
  EXPECT_THAT(stats.runs[0].most_frequent[0].experts, ElementsAre(0, 1, 6, 7));
  EXPECT_EQ(stats.runs[1].total, 3);
  EXPECT_EQ(stats.runs[1].distinct, 3);
  EXPECT_TRUE(stats.runs[1].most_frequent.empty());
}

TEST(PathStats, SplitsPhases) {
  Trace trace = trace_of({1, 4, 1}, {0, 1, 2, 3, 3});
  trace.batches = {{0, 3, 0, false}, {3, 1, 0, true}, {4, 1, 0, true}};
  const PathStats prefill = stats_of(trace, false), decode = stats_of(trace, true);
  EXPECT_EQ(prefill.tokens, 3);
  EXPECT_THAT(prefill.layers[0].uses, ElementsAre(1, 1, 1, 0));
  EXPECT_EQ(decode.tokens, 2);
  EXPECT_THAT(decode.layers[0].uses, ElementsAre(0, 0, 0, 2));
  EXPECT_EQ(decode.layers[0].next_token_overlap, 1);
  EXPECT_EQ(stats_of(trace).prompts, 1);
}

TEST(PathStats, OfNothingAreZero) {
  Trace trace = trace_of({2, 4, 2}, {0, 1, Trace::kAbsent, Trace::kAbsent});
  const PathStats prefill = stats_of(trace, false);
  EXPECT_EQ(prefill.tokens, 0);
  EXPECT_EQ(prefill.layers[0].dead, 4);
  EXPECT_EQ(prefill.layers[0].entropy_bits, 0);
  const PathStats all = stats_of(trace);
  EXPECT_EQ(all.layers[1].unused, 4);
  EXPECT_EQ(all.layers[0].next_layer_bits, 0);
}

TEST(PathStats, DoNotDependOnTheThreads) {
  const Trace trace = experts::random_paths({5, 8, 2}, 6, 30, 3);
  const PathStats one = stats_of(trace), three = stats_of(trace, {}, {}, 3);
  for (std::size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(one.layers[i].uses, three.layers[i].uses);
    EXPECT_EQ(one.layers[i].next_layer_bits, three.layers[i].next_layer_bits);
  }
  EXPECT_EQ(one.runs[1].distinct, three.runs[1].distinct);
}

TEST(PathStats, LookAtEveryNthTokenOfManyPaths) {
  PathStatsOptions options;
  options.path_tokens = 50;
  const PathStats stats = stats_of(experts::random_paths({3, 8, 2}, 6, 30, 3), {}, options);
  EXPECT_EQ(stats.runs[0].tokens, 45);  // every fourth of 180
  EXPECT_EQ(stats.runs[0].total, 90);
}

TEST(PathStats, CanBeCancelled) {
  const Trace trace = experts::random_paths({3, 8, 2}, 2, 5, 3);
  ThreadPool pool(1);
  const CancelToken cancel;
  cancel.cancel();
  EXPECT_THROW(path_stats(trace, {}, {}, pool, {}, cancel), Error);
}

TEST(PathGrowth, ShowsWhenMoreTokensTellNothingNew) {
  const Trace trace = experts::random_paths({4, 8, 2}, 40, 64, 3);
  const PathGrowth growth = path_growth(trace, 8);
  ASSERT_EQ(growth.points.size(), 7U);
  EXPECT_EQ(growth.points.back().tokens, trace.tokens());
  EXPECT_FALSE(growth.points.back().held_out_hit_rate);
  for (std::size_t i = 1; i < growth.points.size(); ++i) {
    EXPECT_GE(growth.points[i].seen_share, growth.points[i - 1].seen_share);
  }
  EXPECT_EQ(growth.points.back().seen_share, 1);
  EXPECT_GT(*growth.points[5].held_out_hit_rate, 0.25);  // better than chance
  EXPECT_GT(growth.in_sample_hit_rate, 0.25);
}

TEST(PathGrowth, WorksOnOneToken) {
  const PathGrowth growth = path_growth(trace_of({1, 4, 1}, {2}), 1);
  ASSERT_EQ(growth.points.size(), 1U);
  EXPECT_EQ(growth.points[0].seen_share, 0.25);
}

}  // namespace
}  // namespace haq::profile
