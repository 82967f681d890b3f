// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/profile/replay/replay.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <tuple>

#include "engine/base/error.h"
#include "tests/support/paths.h"

namespace haq::profile {
namespace {

using experts::ExpertIndex;
using experts::ExpertShape;

Trace random_trace(const ExpertShape& shape, int tokens, std::uint32_t seed) {
  std::mt19937 random(seed);
  Trace trace;
  trace.shape = shape;
  std::vector<std::uint16_t> all(static_cast<std::size_t>(shape.experts));
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<std::uint16_t>(i);
  for (int token = 0; token < tokens; ++token) {
    for (int layer = 0; layer < shape.layers; ++layer) {
      // A drifting favourite makes reuse likely, as in real routing.
      std::shuffle(all.begin(), all.end(), random);
      const auto favourite = static_cast<std::uint16_t>((token / 20 + layer) % shape.experts);
      std::iter_swap(all.begin(), std::find(all.begin(), all.end(), favourite));
      trace.ids.insert(trace.ids.end(), all.begin(), all.begin() + shape.top_k);
    }
    trace.batches.push_back({token, 1, 0, true});
  }
  return trace;
}

/// replay_belady's definition, sorted out anew after every step.
struct Plain {
  std::int64_t hits = 0, uploads = 0;
};
Plain plain_belady(const Trace& trace, int capacity) {
  const ExpertShape& shape = trace.shape;
  const Steps steps(trace);
  const auto next_use = [&](ExpertIndex expert, std::int64_t after) {
    for (std::int64_t i = after + 1; i < steps.count(); ++i) {
      const experts::Step step = steps.step(i);
      if (step.layer != shape.layer_of(expert)) continue;
      const auto number = static_cast<std::uint16_t>(shape.expert_of(expert));
      if (std::find(step.experts.begin(), step.experts.end(), number) != step.experts.end())
        return i;
    }
    return steps.count();
  };
  Plain result;
  std::vector<ExpertIndex> resident;
  const auto holds = [](const std::vector<ExpertIndex>& set, ExpertIndex e) {
    return std::find(set.begin(), set.end(), e) != set.end();
  };
  for (std::int64_t i = 0; i < steps.count(); ++i) {
    const experts::Step step = steps.step(i);
    std::vector<ExpertIndex> candidates = resident;
    for (const std::uint16_t number : step.experts) {
      const ExpertIndex expert = shape.index(step.layer, number);
      result.hits += holds(resident, expert);
      if (!holds(resident, expert)) candidates.push_back(expert);
    }
    std::sort(candidates.begin(), candidates.end(), [&](ExpertIndex a, ExpertIndex b) {
      const auto key = [&](ExpertIndex e) {
        return std::tuple(next_use(e, i), holds(resident, e) ? 0 : 1, e);
      };
      return key(a) < key(b);
    });
    candidates.resize(std::min(candidates.size(), static_cast<std::size_t>(capacity)));
    for (const ExpertIndex e : candidates) result.uploads += !holds(resident, e);
    resident = candidates;
  }
  return result;
}

TEST(Replay, BeladyFollowsItsDefinition) {
  const Trace trace = random_trace({3, 7, 2}, 60, 5);
  const Steps steps(trace);
  for (const int capacity : {0, 1, 2, 5, 9, 14, 21}) {
    const Plain expected = plain_belady(trace, capacity);
    const ReplayResult result = replay_belady(steps, capacity, false, {});
    EXPECT_EQ(result.hits, expected.hits) << capacity;
    EXPECT_EQ(result.uploads, expected.uploads) << capacity;
  }
}

TEST(Replay, NoDemandFilledPolicyBeatsBelady) {
  const Steps steps(random_trace({4, 12, 3}, 400, 11));
  for (const int capacity : {1, 4, 12, 24, 40}) {
    const ReplayResult best = replay_belady(steps, capacity, false, {});
    const ReplayResult admit = replay_belady(steps, capacity, true, {});
    EXPECT_GE(best.hits, admit.hits);
    for (const std::string name : {"lru", "lru-layer", "ema", "none"}) {
      const auto policy = experts::make_policy(name, steps.shape(), capacity, {});
      EXPECT_LE(replay(steps, *policy, capacity, {}).hits, best.hits) << name;
    }
  }
}

TEST(Replay, CountsOnlyBehindTheMarkButWarmsBefore) {
  const Trace trace = random_trace({2, 6, 2}, 100, 3);
  const Steps steps(trace);
  ReplayOptions options;
  options.held_out_from = 60;
  const auto policy = experts::make_policy("lru", trace.shape, 12, {});
  const ReplayResult result = replay(steps, *policy, 12, options);
  EXPECT_EQ(result.accesses, 40 * 2 * 2);
  EXPECT_EQ(result.hits, result.accesses);  // all 12 experts are resident by then
  EXPECT_EQ(result.uploads, 0);
  options.held_out_from = 100;
  const auto fresh = experts::make_policy("lru", trace.shape, 12, {});
  EXPECT_THROW(replay(steps, *fresh, 12, options), Error);
}

TEST(Replay, ModelsTimeAsTheLongerLanePerLayer) {
  // Two layers, one token: layer 0 has one hit and one miss, layer 1 two misses.
  Trace trace;
  trace.shape = {2, 4, 2};
  trace.ids = {0, 1, 2, 3};
  trace.batches.push_back({0, 1, 0, true});
  const Steps steps(trace);
  experts::PolicyOptions plan;
  plan.plan = {0};
  ReplayOptions options;
  options.machine.expert_bytes = 6e6;  // 100 us on 60 GB/s, 240 us over 25 GB/s
  options.machine.gpu_us = 30;
  const auto fixed = experts::make_policy("static", trace.shape, 1, plan);
  EXPECT_NEAR(replay(steps, *fixed, 1, options).ms_per_token_mean, 0.1 + 0.2, 1e-12);
  const auto lru = experts::make_policy("lru", trace.shape, 4, {});
  const ReplayResult result = replay(steps, *lru, 4, options);  // four misses, four uploads
  EXPECT_EQ(result.uploads, 4);
  EXPECT_NEAR(result.ms_per_token_mean, 0.48 + 0.48, 1e-12);
  EXPECT_DOUBLE_EQ(result.bytes, 24e6);
}

TEST(Replay, DispatchesByTheTableWhenToldSo) {
  const Steps steps(random_trace({4, 12, 3}, 300, 7));
  ReplayOptions plain;
  plain.machine = {60, 25, 6e6, 100.0, 30};
  ReplayOptions dispatched = plain;
  dispatched.dispatch = ReplayDispatch{experts::CostTable::stated(100, 30, 25, 6e6)};
  const auto run = [&](const std::string& name, int capacity, const ReplayOptions& options) {
    const auto policy = experts::make_policy(name, steps.shape(), capacity, {});
    return replay(steps, *policy, capacity, options);
  };
  for (const std::string name : {"none", "lru", "ema"}) {
    for (const int capacity : {0, 2, 12, 48}) {
      // Every miss on the CPU is the plain rule.
      const ReplayResult expected = run(name, capacity, plain);
      dispatched.dispatch->miss = experts::MissMode::kCpu;
      const ReplayResult on_cpu = run(name, capacity, dispatched);
      EXPECT_EQ(on_cpu.hits, expected.hits);
      EXPECT_EQ(on_cpu.uploads, expected.uploads);
      EXPECT_EQ(on_cpu.streamed, 0);
      EXPECT_NEAR(on_cpu.ms_per_token_mean, expected.ms_per_token_mean, 1e-12);
      EXPECT_NEAR(on_cpu.ms_per_token_std, expected.ms_per_token_std, 1e-9);
      // No mode changes what is resident; choosing is never slower than either side.
      dispatched.dispatch->miss = experts::MissMode::kUpload;
      const ReplayResult uploaded = run(name, capacity, dispatched);
      dispatched.dispatch->miss = experts::MissMode::kAuto;
      const ReplayResult chosen = run(name, capacity, dispatched);
      EXPECT_EQ(uploaded.hits, expected.hits);
      EXPECT_EQ(chosen.hits, expected.hits);
      EXPECT_DOUBLE_EQ(uploaded.bytes,
                       6e6 * static_cast<double>(uploaded.uploads + uploaded.streamed));
      EXPECT_LE(chosen.ms_per_token_mean, on_cpu.ms_per_token_mean * (1 + 1e-12));
      EXPECT_LE(chosen.ms_per_token_mean, uploaded.ms_per_token_mean * (1 + 1e-12));
    }
  }
}

TEST(Replay, BlocksAddUpToTheWhole) {
  const Steps steps(random_trace({3, 8, 2}, 50, 4));
  ReplayOptions options;
  options.held_out_from = 10;
  options.block_tokens = 16;
  options.machine.expert_bytes = 6e6;
  const auto policy = experts::make_policy("lru", steps.shape(), 9, {});
  const ReplayResult result = replay(steps, *policy, 9, options);
  ASSERT_EQ(result.blocks.size(), 3U);
  ReplayResult::Block sum;
  for (const ReplayResult::Block& block : result.blocks) {
    sum.tokens += block.tokens;
    sum.accesses += block.accesses;
    sum.hits += block.hits;
    sum.uploads += block.uploads;
    sum.ms += block.ms;
  }
  EXPECT_EQ(result.blocks[0].tokens, 16);
  EXPECT_EQ(result.blocks[2].tokens, 8);
  EXPECT_EQ(sum.tokens, 40);
  EXPECT_EQ(sum.accesses, result.accesses);
  EXPECT_EQ(sum.hits, result.hits);
  EXPECT_EQ(sum.uploads, result.uploads);
  EXPECT_NEAR(sum.ms, 40 * result.ms_per_token_mean, 1e-9);
}

TEST(Replay, StepsJoinTheExpertsOfABatch) {
  Trace trace;
  trace.shape = {1, 8, 3};
  trace.ids = {4, 1, 2, 1, 6, Trace::kAbsent, 4, 7, 1};
  trace.batches.push_back({0, 3, 0, false});
  const Steps steps(trace);
  ASSERT_EQ(steps.count(), 1);
  const experts::Step step = steps.step(0);
  EXPECT_EQ(std::vector<std::uint16_t>(step.experts.begin(), step.experts.end()),
            (std::vector<std::uint16_t>{4, 1, 2, 6, 7}));
  EXPECT_EQ(std::vector<std::uint16_t>(step.counts.begin(), step.counts.end()),
            (std::vector<std::uint16_t>{2, 3, 1, 1, 1}));
  EXPECT_EQ(step.tokens, 3);
}

// Published replay of the same trace: reference table of the shared data.
TEST(Replay, AgreesWithAnIndependentReplayOfARealTrace) {
  HAQ_REQUIRE_SHARED();
  const Trace trace = read_trace(test::shared_dir() / "data/traces/gpt-oss-20b", {.experts = 32});
  EXPECT_EQ(trace.shape, (ExpertShape{24, 32, 4}));
  EXPECT_EQ(trace.tokens(), 108828);
  const Steps steps(trace);
  ReplayOptions options;
  options.held_out_from = 54781;
  const double tokens = 54047;
  const auto check = [&](const ReplayResult& result, double hit_rate, double uploads) {
    EXPECT_NEAR(100 * result.hit_rate, hit_rate, 0.05 + 1e-9) << result.policy;
    EXPECT_NEAR(static_cast<double>(result.uploads) / tokens, uploads, 0.05 + 1e-9)
        << result.policy;
  };
  const auto run = [&](const std::string& name, int capacity) {
    const auto policy = experts::make_policy(name, trace.shape, capacity, {});
    return replay(steps, *policy, capacity, options);
  };
  check(run("lru", 192), 60.3, 38.1);
  check(run("lru-layer", 192), 64.6, 34.0);
  check(run("lru", 384), 91.4, 8.3);
  const auto uses = count_uses(trace, 0, options.held_out_from);
  experts::PolicyOptions plan;
  plan.plan = experts::most_used(trace.shape, uses, 192, false);
  const auto frequency = experts::make_policy("static", trace.shape, 192, plan);
  check(replay(steps, *frequency, 192, options), 45.4, 0);
  EXPECT_NEAR(100 * replay_belady(steps, 192, false, options).hit_rate, 82.5, 0.05);
}

// A short part of the same trace, so that the test stays quick; the whole is in docs/placement.md.
TEST(Replay, PathBeatsTheOthersOnARealTrace) {
  HAQ_REQUIRE_SHARED();
  Trace trace = read_trace(test::shared_dir() / "data/traces/gpt-oss-20b", {.experts = 32});
  trace.batches.resize(6000);
  trace.ids.resize(std::size_t{6000} * 24 * 4);
  const Steps steps(trace);
  ReplayOptions options;
  options.held_out_from = 3000;
  options.machine.expert_bytes = 12e6;
  const auto run = [&](const std::string& name, experts::PathGoal goal) {
    experts::PolicyOptions settings;
    settings.costs = options.machine.costs();
    settings.path_goal = goal;
    const auto policy = experts::make_policy(name, trace.shape, 192, settings);
    return replay(steps, *policy, 192, options);
  };
  const ReplayResult lru = run("lru", experts::PathGoal::kTime);
  const ReplayResult hits = run("path", experts::PathGoal::kHits);
  const ReplayResult fast = run("path", experts::PathGoal::kTime);
  EXPECT_GT(hits.hit_rate, replay_belady(steps, 192, false, options).hit_rate);
  EXPECT_LE(hits.uploads, lru.uploads);
  for (const std::string name : {"none", "lru", "lru-layer", "ema"}) {
    EXPECT_LT(fast.ms_per_token_mean, run(name, experts::PathGoal::kTime).ms_per_token_mean)
        << name;
  }
  EXPECT_LE(run("auto", experts::PathGoal::kTime).ms_per_token_mean, 1.02 * fast.ms_per_token_mean);
}

}  // namespace
}  // namespace haq::profile
