// SPDX-License-Identifier: GPL-3.0-or-later
// The simulator decides what the live runtime decides: paths recorded from a real forward pass are
// replayed with the same policy, and everything that a policy or the dispatcher brings about is
// equal.
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "engine/experts/runtime/runtime.h"
#include "engine/profile/replay/replay.h"
#include "tests/engine/experts/runtime/runtime_fixture.h"

namespace haq::test {
namespace {

using experts::MissMode;

/// Paths of the model, read in other chunks than the tests use.
std::shared_ptr<const experts::Trace> history_of(const Int8Moe& model) {
  auto history = std::make_shared<experts::Trace>();
  model.run(5, 11, history.get());
  return history;
}

void expect_equal(const experts::RuntimeStats& live, const profile::ReplayResult& replayed) {
  EXPECT_EQ(live.accesses, replayed.accesses);
  EXPECT_EQ(live.hits, replayed.hits);
  EXPECT_EQ(live.uploads, replayed.uploads);
  EXPECT_EQ(live.evictions, replayed.evictions);
  EXPECT_EQ(live.streamed, replayed.streamed);
  ASSERT_EQ(live.hits_per_layer.size(), replayed.per_layer_hit_rate.size());
  for (std::size_t layer = 0; layer < live.hits_per_layer.size(); ++layer) {
    EXPECT_DOUBLE_EQ(static_cast<double>(live.hits_per_layer[layer]) /
                         static_cast<double>(live.accesses_per_layer[layer]),
                     replayed.per_layer_hit_rate[layer]);
  }
  EXPECT_NEAR(live.modelled_ms_per_token_mean, replayed.ms_per_token_mean,
              1e-9 * replayed.ms_per_token_mean);
  EXPECT_NEAR(live.modelled_ms_per_token_std, replayed.ms_per_token_std,
              1e-9 * replayed.ms_per_token_mean);
}

class LiveReplay : public testing::TestWithParam<std::string> {};

TEST_P(LiveReplay, AgreesForEveryPolicy) {
  const Int8Moe model(GetParam());
  const auto device = quick_device();
  const auto history = history_of(model);
  std::int64_t hits = 0, uploads = 0, streamed = 0;
  const std::vector<int> capacities = some_capacities(model.shape());
  constexpr std::size_t kChunks[] = {1, 7, 512};
  for (const std::string& name : experts::policy_names()) {
    for (std::size_t i = 0; i < std::size(kChunks) * capacities.size(); ++i) {
      const std::size_t chunk = kChunks[i % std::size(kChunks)];
      const int capacity = capacities[i / std::size(kChunks)];
      // Every mode meets every chunk size.
      const MissMode miss = kMissModes[(i + i / std::size(kChunks)) % std::size(kMissModes)];
      SCOPED_TRACE(fmt::format("{}, {} slots, misses {}, chunks of {}", name, capacity,
                               to_string(miss), chunk));
      experts::RuntimeOptions options = runtime_options(model.shape(), name, capacity, miss);
      // With and without something to learn from beforehand, for either goal.
      if (chunk == 7) options.policy_options.history = history;
      if (chunk == 512) options.policy_options.path_goal = experts::PathGoal::kHits;
      const Attached runtime(model.decoder(), device, options);
      experts::Trace seen;
      for (int prompt = 0; prompt < 2; ++prompt) model.run(chunk, 16, &seen);
      const experts::PolicyOptions& in_effect = runtime->options().policy_options;
      const auto policy = experts::make_policy(name, model.shape(), capacity, in_effect);
      profile::ReplayOptions replay;
      replay.dispatch = profile::ReplayDispatch{in_effect.costs, miss};
      const experts::RuntimeStats live = runtime->stats();
      expect_equal(live, profile::replay(experts::Steps(seen), *policy, capacity, replay));
      hits += live.hits;
      uploads += live.uploads;
      streamed += live.streamed;
    }
  }
  EXPECT_GT(hits, 1000);
  EXPECT_GT(uploads, 1000);
  EXPECT_GT(streamed, 1000);
}

INSTANTIATE_TEST_SUITE_P(Models, LiveReplay, testing::Values("olmoe", "deepseek_v2"),
                         [](const auto& model) { return model.param; });

}  // namespace
}  // namespace haq::test
