// SPDX-License-Identifier: GPL-3.0-or-later
// Random small models under random budgets, policies, plans, cost tables, links, thread counts and
// schedules of several conversations: the logits have the bits of a plain run, the counts agree
// with each other, and the simulator replays the recorded paths with the same outcome.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/error.h"
#include "engine/device/emulated/emulated_device.h"
#include "engine/profile/replay/replay.h"
#include "tests/engine/experts/runtime/random_moe.h"
#include "tests/engine/experts/runtime/runtime_fixture.h"

namespace haq::test {
namespace {

using experts::MissMode;

class Random {
 public:
  explicit Random(unsigned seed) : generator_(seed) {}
  std::mt19937& generator() { return generator_; }
  int between(int low, int high) {
    return low + static_cast<int>(generator_() % static_cast<unsigned>(high - low + 1));
  }
  bool chance(int one_in) { return between(1, one_in) == 1; }
  double log_between(double low, double high) {
    std::uniform_real_distribution<double> exponent(std::log(low), std::log(high));
    return std::exp(exponent(generator_));
  }
  template <class Values>
  const auto& one_of(const Values& values) {
    return values[static_cast<std::size_t>(between(0, static_cast<int>(std::size(values)) - 1))];
  }

 private:
  std::mt19937 generator_;
};

experts::CostTable random_costs(Random& random) {
  experts::CostTable costs;
  const double cpu = random.log_between(5, 500), device = random.log_between(1, 100);
  costs.cpu = {{1, cpu}, {16, cpu * random.log_between(1, 16)}};
  costs.device = {{1, device}, {64, device * random.log_between(1, 4)}};
  costs.upload_fixed_us = random.between(0, 20);
  costs.link_gb_s = random.log_between(1, 60);
  costs.expert_bytes = random.log_between(1e4, 1e7);
  costs.source = "stated";
  return costs;
}

std::shared_ptr<const experts::Trace> random_history(Random& random,
                                                     const experts::ExpertShape& shape) {
  auto trace = std::make_shared<experts::Trace>();
  trace->shape = shape;
  std::vector<std::uint16_t> all(static_cast<std::size_t>(shape.experts));
  std::iota(all.begin(), all.end(), std::uint16_t{0});
  const int tokens = random.between(1, 200);
  for (int token = 0; token < tokens; ++token) {
    trace->batches.push_back({token, 1, 0, true});
    for (int layer = 0; layer < shape.layers; ++layer) {
      std::shuffle(all.begin(), all.end(), random.generator());
      trace->ids.insert(trace->ids.end(), all.begin(), all.begin() + shape.top_k);
    }
  }
  return trace;
}

experts::RuntimeOptions random_options(Random& random, const experts::ExpertShape& shape) {
  experts::RuntimeOptions options;
  options.policy = random.one_of(experts::policy_names());
  options.capacity = random.chance(6) ? shape.total() : random.between(0, shape.total());
  options.miss = random.one_of(kMissModes);
  experts::PolicyOptions& policy = options.policy_options;
  policy.costs = random_costs(random);
  policy.decay = 0.5 + 0.499 * random.between(0, 100) / 100;
  policy.margin = 1 + 0.02 * random.between(0, 100);
  policy.uploads_per_step = random.between(0, 4);
  if (random.chance(2)) policy.path_goal = experts::PathGoal::kHits;
  if (random.chance(2)) policy.history = random_history(random, shape);
  std::vector<experts::ExpertIndex> all(static_cast<std::size_t>(shape.total()));
  std::iota(all.begin(), all.end(), 0);
  std::shuffle(all.begin(), all.end(), random.generator());
  all.resize(static_cast<std::size_t>(random.between(0, shape.total())));
  policy.plan = all;
  return options;
}

std::shared_ptr<device::SlotDevice> random_device(Random& random) {
  device::EmulatedOptions options;
  options.threads = random.between(1, 3);
  options.max_isa = random.chance(3) ? device::Isa::kScalar : device::Isa::kNative;
  options.pace_link = random.chance(2);
  options.link_latency_us = random.between(0, 60);
  options.link_gb_s = random.log_between(0.3, 50);
  return device::make_emulated_device(options);
}

/// Some conversations, and how their ids are cut into forward passes.
class Schedule {
 public:
  explicit Schedule(Random& random) {
    for (int n = random.between(1, 3); n > 0; --n) {
      std::vector<std::int32_t> ids(static_cast<std::size_t>(random.between(1, 40)));
      for (auto& id : ids) id = random.between(0, kRandomMoeVocab - 1);
      prompts_.push_back(std::move(ids));
    }
  }

  /// Each conversation alone and in one piece: one block of logits for each.
  std::vector<std::vector<float>> plain(nn::Decoder& decoder) const {
    std::vector<std::vector<float>> logits;
    for (const auto& ids : prompts_) logits.push_back(run_prompt(decoder, ids));
    return logits;
  }

  /// All of them in random batches. `seen` gets the paths. `stumbles`: some passes are cancelled
  /// half way and asked for again.
  std::vector<std::vector<float>> mixed(nn::Decoder& decoder, Random& random, bool stumbles,
                                        experts::Trace& seen) const {
    std::vector<std::unique_ptr<nn::Sequence>> sequences;
    for (std::size_t i = 0; i < prompts_.size(); ++i) sequences.push_back(decoder.new_sequence());
    std::vector<std::vector<float>> logits(prompts_.size());
    seen.shape = experts::shape_of(decoder);
    const int chunk = random.one_of(std::vector<int>{1, 2, 5, 17, 64});
    while (true) {
      std::vector<nn::Segment> segments;
      std::vector<std::size_t> of;
      for (std::size_t i = 0; i < prompts_.size(); ++i) {
        const auto done = static_cast<std::size_t>(sequences[i]->length());
        if (done == prompts_[i].size() || (prompts_.size() > 1 && random.chance(4))) continue;
        const auto count = std::min<std::size_t>(
            prompts_[i].size() - done, static_cast<std::size_t>(random.between(1, chunk)));
        segments.push_back({sequences[i].get(), std::span(prompts_[i]).subspan(done, count),
                            nn::Segment::Logits::kAll, count == 1});
        of.push_back(i);
      }
      const bool over = std::all_of(sequences.begin(), sequences.end(), [&](const auto& s) {
        return std::cmp_equal(s->length(),
                              prompts_[static_cast<std::size_t>(&s - sequences.data())].size());
      });
      if (over) return logits;
      if (segments.empty()) continue;
      if (stumbles && random.chance(4)) cancelled_pass(decoder, segments, random);
      std::span<const float> rows = forward(decoder, segments, seen);
      for (std::size_t i = 0; i < segments.size(); ++i) {
        const auto part = rows.first(segments[i].ids.size() * kRandomMoeVocab);
        logits[of[i]].insert(logits[of[i]].end(), part.begin(), part.end());
        rows = rows.subspan(part.size());
      }
    }
  }

 private:
  static std::span<const float> forward(nn::Decoder& decoder, std::span<const nn::Segment> segments,
                                        experts::Trace& seen) {
    nn::Observer observer;
    int layer = 0;
    observer.routed = [&](const nn::RoutedStep& step) {
      const auto k = static_cast<std::size_t>(step.top_k);
      const auto row = static_cast<std::size_t>(seen.shape.layers) * k;
      if (layer == 0) {
        seen.batches.push_back({seen.tokens(), step.tokens, 0, step.decode});
        seen.ids.resize(seen.ids.size() + static_cast<std::size_t>(step.tokens) * row);
      }
      const auto first = static_cast<std::size_t>(seen.batches.back().first_token);
      for (std::size_t i = 0; i < step.ids.size(); ++i) {
        seen.ids[(first + i / k) * row + static_cast<std::size_t>(layer) * k + i % k] =
            static_cast<std::uint16_t>(step.ids[i]);
      }
      ++layer;
    };
    return decoder.forward(segments, &observer);
  }

  static void cancelled_pass(nn::Decoder& decoder, std::span<const nn::Segment> segments,
                             Random& random) {
    const CancelToken cancel;
    int steps = random.between(0, 3);
    nn::Observer observer;
    observer.routed = [&](const nn::RoutedStep&) {
      if (steps-- == 0) cancel.cancel();
    };
    try {
      decoder.forward(segments, &observer, &cancel);
      for (const nn::Segment& segment : segments) {  // it was done before it was asked to stop
        segment.sequence->truncate(segment.sequence->length() -
                                   static_cast<std::int64_t>(segment.ids.size()));
      }
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kCancelled) throw;
    }
  }

  std::vector<std::vector<std::int32_t>> prompts_;
};

void expect_consistent(const experts::ExpertRuntime& runtime, const experts::Trace& seen) {
  const experts::RuntimeStats stats = runtime.stats();
  const experts::ExpertShape& shape = runtime.shape();
  EXPECT_EQ(stats.tokens, seen.tokens());
  EXPECT_EQ(stats.batches, static_cast<std::int64_t>(seen.batches.size()));
  EXPECT_EQ(stats.steps, stats.batches * shape.layers);
  EXPECT_EQ(stats.accesses, experts::Steps(seen).accesses());
  EXPECT_LE(stats.hits, stats.accesses);
  EXPECT_EQ(stats.cpu_tokens + stats.device_tokens, stats.tokens * shape.layers * shape.top_k);
  EXPECT_EQ(stats.bytes_uploaded,
            static_cast<std::int64_t>(runtime.slot_bytes()) * (stats.uploads + stats.streamed));
  EXPECT_LE(runtime.residency().used(), runtime.options().capacity);
  EXPECT_GE(stats.regret_us_sum, 0);
}

void expect_replayed(const experts::ExpertRuntime& runtime, const experts::Trace& seen) {
  const experts::RuntimeOptions& options = runtime.options();
  const auto policy = experts::make_policy(options.policy, runtime.shape(), options.capacity,
                                           options.policy_options);
  profile::ReplayOptions replay;
  replay.dispatch = profile::ReplayDispatch{options.policy_options.costs, options.miss};
  const profile::ReplayResult replayed =
      profile::replay(experts::Steps(seen), *policy, options.capacity, replay);
  const experts::RuntimeStats live = runtime.stats();
  EXPECT_EQ(live.accesses, replayed.accesses);
  EXPECT_EQ(live.hits, replayed.hits);
  EXPECT_EQ(live.uploads, replayed.uploads);
  EXPECT_EQ(live.evictions, replayed.evictions);
  EXPECT_EQ(live.streamed, replayed.streamed);
  EXPECT_NEAR(live.modelled_ms_per_token_mean, replayed.ms_per_token_mean,
              1e-9 * replayed.ms_per_token_mean);
}

class RuntimeProperty : public testing::TestWithParam<unsigned> {};

TEST_P(RuntimeProperty, OnlyWhereAndWhenAreDecided) {
  Random random(GetParam());
  const TempDir folder;
  const std::string model = write_random_moe(random.generator(), folder.path());
  const Schedule schedule(random);
  LoadSettings settings;
  settings.compute = nn::Compute::kAuto;
  settings.threads = 1;
  const std::vector<std::vector<float>> expected =
      schedule.plain(*load_decoder(folder.path(), settings));

  settings.threads = random.between(1, 3);
  const auto decoder = load_decoder(folder.path(), settings);
  ASSERT_TRUE(decoder->int8());
  const experts::ExpertShape shape = experts::shape_of(*decoder);
  if (shape.layers == 0) return;  // its only layer is dense
  for (int run = 0; run < 6; ++run) {
    const experts::RuntimeOptions options = random_options(random, shape);
    const bool stumbles = random.chance(3);
    SCOPED_TRACE(fmt::format("model: {}; run {}: {}, {} slots, plan of {}, misses {}{}", model, run,
                             options.policy, options.capacity, options.policy_options.plan.size(),
                             to_string(options.miss), stumbles ? ", cancelled at times" : ""));
    const auto device = random_device(random);
    const Attached runtime(*decoder, device, options);
    const std::int64_t loaded = device->link().copies;
    EXPECT_EQ(loaded, runtime->residency().used());
    experts::EventRing ring(static_cast<std::size_t>(random.between(1, 400)));
    if (random.chance(2)) runtime->set_events(&ring);
    experts::Trace seen;
    const auto logits = schedule.mixed(*decoder, random, stumbles, seen);
    ASSERT_EQ(logits.size(), expected.size());
    for (std::size_t i = 0; i < logits.size(); ++i) {
      EXPECT_TRUE(same_bits(logits[i], expected[i])) << "conversation " << i;
    }
    if (stumbles) continue;  // passes that were given up are counted, and not in `seen`
    expect_consistent(*runtime.operator->(), seen);
    expect_replayed(*runtime.operator->(), seen);
    const experts::RuntimeStats stats = runtime->stats();
    EXPECT_EQ(device->link().copies, loaded + stats.uploads + stats.streamed);
    EXPECT_EQ(device->link().bytes, static_cast<std::int64_t>(runtime->slot_bytes()) *
                                        (loaded + stats.uploads + stats.streamed));
  }
}

#ifdef __SANITIZE_THREAD__
constexpr unsigned kSeeds = 12;  // some fifteen times slower
#else
constexpr unsigned kSeeds = 40;
#endif
INSTANTIATE_TEST_SUITE_P(Seeds, RuntimeProperty, testing::Range(1U, 1U + kSeeds));

}  // namespace
}  // namespace haq::test
