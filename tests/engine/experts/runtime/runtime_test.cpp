// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/experts/runtime/runtime.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <string>
#include <tuple>

#include "engine/base/error.h"
#include "engine/device/emulated/emulated_device.h"
#include "tests/engine/experts/runtime/runtime_fixture.h"

namespace haq::test {
namespace {

using experts::MissMode;
using experts::RuntimeOptions;
using experts::RuntimeStats;

/// Golden models with routing in every layer, with a shared expert, with a dense first layer, with
/// biases and fused experts.
class RuntimeIdentity : public testing::TestWithParam<std::tuple<std::string, bool>> {};

TEST_P(RuntimeIdentity, NoDecisionChangesABit) {
  const auto& [name, int8] = GetParam();
  const TestMoe model(name, int8);
  const std::vector<float> expected = model.run(512, 0);
  {
    const Attached runtime(model.decoder(), nullptr, {});
    EXPECT_TRUE(same_bits(model.run(7, 9), expected)) << "without a device";
  }
  const auto device = quick_device();
  for (const std::string& policy : experts::policy_names()) {
    for (const int capacity : some_capacities(model.shape())) {
      for (const MissMode miss : kMissModes) {
        const Attached runtime(model.decoder(), device,
                               runtime_options(model.shape(), policy, capacity, miss));
        const std::size_t chunk = miss == MissMode::kAuto ? 7 : 512;
        EXPECT_TRUE(same_bits(model.run(chunk, 9), expected))
            << policy << ", " << capacity << " slots, " << to_string(miss);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Models, RuntimeIdentity,
    testing::Values(std::tuple("olmoe", true), std::tuple("mixtral", true),
                    std::tuple("qwen2_moe", true), std::tuple("deepseek_v2", true),
                    std::tuple("gpt_oss", false), std::tuple("granitemoe", false)),
    [](const auto& model) {
      return std::get<0>(model.param) + (std::get<1>(model.param) ? "_int8" : "_fp32");
    });

TEST(ExpertRuntime, CountsWhatItDoes) {
  const Int8Moe model("olmoe");
  const experts::ExpertShape shape = model.shape();
  ASSERT_EQ(shape, (experts::ExpertShape{2, 8, 3}));
  const Attached runtime(model.decoder(), quick_device(),
                         runtime_options(shape, "lru", 6, MissMode::kAuto));
  experts::Trace seen;
  model.run(16, 8, &seen);
  const RuntimeStats stats = runtime->stats();
  const auto tokens = static_cast<std::int64_t>(model.ids().size());
  EXPECT_EQ(stats.policy, "lru");
  EXPECT_EQ(stats.capacity, 6);
  EXPECT_EQ(stats.tokens, tokens);
  EXPECT_EQ(stats.batches, static_cast<std::int64_t>(seen.batches.size()));
  EXPECT_EQ(stats.steps, stats.batches * shape.layers);
  EXPECT_EQ(stats.accesses, experts::Steps(seen).accesses());
  EXPECT_EQ(stats.cpu_tokens + stats.device_tokens, tokens * shape.layers * shape.top_k);
  EXPECT_GT(stats.cpu_tokens, 0);
  EXPECT_GT(stats.device_tokens, 0);
  EXPECT_GT(stats.hits, 0);
  EXPECT_EQ(std::accumulate(stats.hits_per_layer.begin(), stats.hits_per_layer.end(), 0L),
            stats.hits);
  EXPECT_EQ(stats.uploads, stats.evictions + 6);
  EXPECT_EQ(stats.bytes_uploaded,
            static_cast<std::int64_t>(runtime->slot_bytes()) * (stats.uploads + stats.streamed));
  EXPECT_GT(stats.decisions, 0);
  EXPECT_LE(stats.decisions, stats.steps);
  EXPECT_GE(stats.regret_us_sum, 0);
  EXPECT_GT(stats.actual_us_sum, 0);
  EXPECT_NEAR(stats.predicted_us_sum,
              stats.modelled_ms_per_token_mean * 1e3 * static_cast<double>(tokens),
              1e-6 * stats.predicted_us_sum);
  EXPECT_EQ(runtime->residency().used(), 6);
  std::int64_t reported = 0;
  for (const auto& row : stats.cost_report.rows()) reported += row.steps;
  EXPECT_EQ(reported, stats.steps);
  EXPECT_GT(runtime->refit().observations(), 0);

  runtime->reset_stats();
  EXPECT_EQ(runtime->stats().accesses, 0);
  EXPECT_EQ(runtime->residency().used(), 6);
  model.run(16, 8);
  EXPECT_EQ(runtime->stats().tokens, tokens);
}

TEST(ExpertRuntime, TellsWhatItDoes) {
  const Int8Moe model("olmoe");
  const experts::ExpertShape shape = model.shape();
  const Attached runtime(model.decoder(), quick_device(),
                         runtime_options(shape, "lru", 4, MissMode::kAuto));
  experts::EventRing ring(4096);
  experts::Trace seen;
  model.run(16, 8);  // before anybody listens
  const auto before = static_cast<std::int64_t>(model.ids().size());
  runtime->reset_stats();
  runtime->set_events(&ring);
  runtime->set_prompt(7);
  model.run(16, 8, &seen);
  runtime->set_events(nullptr);
  model.run(16, 8);  // nobody listens any more

  std::vector<experts::Event> events(ring.size());
  ASSERT_EQ(ring.pop(events), events.size());
  EXPECT_EQ(ring.dropped(), 0U);
  std::vector<std::uint16_t> ids(seen.ids.size(), experts::Trace::kAbsent);
  std::size_t batches = 0, steps = 0;
  std::int64_t hits = 0, uploads = 0, prefetched = 0;
  for (const experts::Event& event : events) {
    switch (event.kind) {
      case experts::Event::Kind::kBatch: {
        ASSERT_LT(batches, seen.batches.size());
        const experts::Trace::Batch& batch = seen.batches[batches++];
        EXPECT_EQ(event.batch.first_token, before + batch.first_token);
        EXPECT_EQ(event.batch.tokens, batch.tokens);
        EXPECT_EQ(event.batch.decode != 0, batch.decode);
        EXPECT_EQ(event.batch.prompt, 7);
        break;
      }
      case experts::Event::Kind::kPath:
        for (int i = 0; i < event.path.count; ++i) {
          const std::int64_t at =
              ((event.path.token - before) * shape.layers + event.layer) * shape.top_k +
              event.path.offset + i;
          ids[static_cast<std::size_t>(at)] = event.path.ids[i];
        }
        break;
      case experts::Event::Kind::kStep:
        ++steps;
        hits += event.step.hits;
        EXPECT_EQ(event.step.cpu_choices + event.step.device_choices,
                  event.step.tokens * shape.top_k);
        EXPECT_GE(event.step.actual_us, event.step.cpu_us);
        break;
      case experts::Event::Kind::kUpload:
        ++uploads;
        prefetched += event.upload.prefetch;
        EXPECT_EQ(event.upload.bytes, static_cast<std::int64_t>(runtime->slot_bytes()));
        break;
    }
  }
  EXPECT_EQ(batches, seen.batches.size());
  EXPECT_EQ(steps, batches * static_cast<std::size_t>(shape.layers));
  EXPECT_EQ(ids, seen.ids);
  EXPECT_EQ(prefetched, 0);  // lru loads what it has just seen
  EXPECT_GT(hits, 0);
  EXPECT_GT(uploads, 0);
  EXPECT_LT(uploads, runtime->stats().uploads);
  EXPECT_GT(runtime->stats().telemetry_ns_sum, 0);
}

TEST(ExpertRuntime, WaitsForCopiesOnASlowLink) {
  const Int8Moe model("olmoe");
  const std::vector<float> expected = model.run(512, 0);
  device::EmulatedOptions slow;
  slow.link_latency_us = 300;
  const auto device = device::make_emulated_device(slow);
  for (const MissMode miss : kMissModes) {
    const Attached runtime(model.decoder(), device, runtime_options(model.shape(), "lru", 6, miss));
    EXPECT_TRUE(same_bits(model.run(16, 8), expected)) << to_string(miss);
    EXPECT_GT(runtime->stats().uploads, 0);
  }
}

TEST(ExpertRuntime, RunsExpertsThatADeviceHoldsIn16Bits) {
  const Int8Moe model("olmoe");
  const std::vector<float> expected = model.run(512, 0);
  device::EmulatedOptions wide;
  wide.pace_link = false;
  wide.hold = DType::kBF16;
  const Attached runtime(model.decoder(), device::make_emulated_device(wide),
                         runtime_options(model.shape(), "lru", 6, MissMode::kUpload));
  EXPECT_GT(runtime->slot_bytes(), experts::slot_layout_of(model.decoder()).bytes());
  const std::vector<float> logits = model.run(512, 0);
  EXPECT_FALSE(same_bits(logits, expected));  // such a device does not promise it
  EXPECT_LT(deviation(logits, expected).rms, 0.2);
}

TEST(ExpertRuntime, StreamsMoreExpertsThanThereAreStagingSlots) {
  const Int8Moe model("olmoe");
  const std::vector<float> expected = model.run(512, 0);
  const auto device = quick_device();
  const Attached runtime(model.decoder(), device,
                         runtime_options(model.shape(), "none", 0, MissMode::kUpload));
  EXPECT_TRUE(same_bits(model.run(512, 0), expected));
  const RuntimeStats stats = runtime->stats();
  EXPECT_GT(stats.streamed, 2 * experts::staging_slots());
  EXPECT_EQ(stats.streamed, stats.accesses);
  EXPECT_EQ(stats.cpu_tokens, 0);
  EXPECT_EQ(stats.uploads, 0);
  EXPECT_EQ(device->link().copies, stats.streamed);
  EXPECT_EQ(device->link().bytes, stats.bytes_uploaded);
}

TEST(ExpertRuntime, LoadsAPlanBeforehand) {
  const Int8Moe model("olmoe");
  const auto device = quick_device();
  RuntimeOptions options = runtime_options(model.shape(), "static", 4, MissMode::kCpu);
  options.policy_options.plan = {1, 3, 8, 15, 2, 4};  // the most valuable first; two do not fit
  const Attached runtime(model.decoder(), device, options);
  EXPECT_THAT(runtime->options().policy_options.plan, testing::ElementsAre(1, 3, 8, 15));
  EXPECT_EQ(device->link().copies, 4);
  model.run(512, 0);
  const RuntimeStats stats = runtime->stats();
  EXPECT_GT(stats.hits, 0);
  EXPECT_EQ(stats.uploads, 0);
  EXPECT_EQ(stats.bytes_uploaded, 0);
  EXPECT_EQ(stats.streamed, 0);
  EXPECT_EQ(stats.decisions, 0);  // the mode leaves no choice
}

TEST(ExpertRuntime, RefusesWhatCannotBe) {
  const Int8Moe model("olmoe");
  const auto device = quick_device();
  const auto refused = [&](std::shared_ptr<device::SlotDevice> on, const RuntimeOptions& options) {
    try {
      experts::ExpertRuntime::make(model.decoder(), std::move(on), options);
    } catch (const Error& error) {
      return error.code();
    }
    return ErrorCode::kInternal;
  };
  const RuntimeOptions good = runtime_options(model.shape(), "lru", 4, MissMode::kAuto);
  EXPECT_EQ(refused(nullptr, good), ErrorCode::kInvalidArgument);
  for (const int capacity : {-1, 17}) {
    RuntimeOptions options = good;
    options.capacity = capacity;
    options.policy_options.plan.clear();
    EXPECT_EQ(refused(device, options), ErrorCode::kInvalidArgument) << capacity;
  }
  RuntimeOptions unknown = good;
  unknown.policy = "fifo";
  EXPECT_EQ(refused(device, unknown), ErrorCode::kInvalidArgument);
  RuntimeOptions without_costs = good;
  without_costs.policy_options.costs = {};
  EXPECT_EQ(refused(device, without_costs), ErrorCode::kInvalidArgument);
  EXPECT_EQ(refused(quick_device(20000), good), ErrorCode::kOutOfMemory);

  LoadSettings settings;
  const auto dense = load_decoder(golden_model_dir("llama"), settings);
  EXPECT_THROW(experts::ExpertRuntime::make(*dense, nullptr, {}), Error);
}

TEST(ExpertRuntime, AFailingDeviceIsAnErrorThatNamesTheLayer) {
  const Int8Moe model("olmoe");
  const std::vector<float> expected = model.run(512, 0);
  const RuntimeOptions options = runtime_options(model.shape(), "lru", 4, MissMode::kUpload);
  // Room for the slots and for the rows of some tokens, not for those of the whole prompt.
  const std::size_t slot = experts::slot_layout_of(model.decoder()).bytes();
  const std::size_t slots = 4 + static_cast<std::size_t>(experts::staging_slots());
  const auto device = quick_device(slots * slot + 4096);
  const Attached runtime(model.decoder(), device, options);
  try {
    model.run(512, 0);
    FAIL() << "the rows of the prompt fitted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kOutOfMemory);
    EXPECT_THAT(error.what(), testing::HasSubstr("layer 0"));
  }
  // One token at a time fits: the lane and the decoder work on, with the right bits.
  EXPECT_TRUE(same_bits(model.run(1, 0), expected));
  model.decoder().set_expert_runner(nullptr);
  EXPECT_TRUE(same_bits(model.run(512, 0), expected));
}

TEST(ExpertRuntime, StopsWhenAsked) {
  const Int8Moe model("olmoe");
  const std::vector<float> expected = model.run(512, 0);
  const Attached runtime(model.decoder(), quick_device(),
                         runtime_options(model.shape(), "lru", 4, MissMode::kAuto));
  const auto sequence = model.decoder().new_sequence();
  const CancelToken cancel;
  nn::Observer observer;
  observer.routed = [&](const nn::RoutedStep& step) {
    if (step.layer == 1) cancel.cancel();
  };
  const nn::Segment segment{sequence.get(), model.ids()};
  try {
    model.decoder().forward(std::span(&segment, 1), &observer, &cancel);
    FAIL() << "not cancelled";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kCancelled);
  }
  EXPECT_EQ(sequence->length(), 0);
  EXPECT_TRUE(same_bits(model.run(512, 3), expected));
}

}  // namespace
}  // namespace haq::test
