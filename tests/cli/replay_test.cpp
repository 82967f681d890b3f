// SPDX-License-Identifier: GPL-3.0-or-later
// What a run did, and what a replay of its recording says it did: the same hits and times.
#include <gmock/gmock.h>

#include "engine/experts/placement/plan.h"
#include "tests/cli/json_checks.h"
#include "tests/cli/quantized_demo.h"

namespace haq::test {
namespace {

using nlohmann::json;
using Words = std::vector<std::string>;

class Replays : public QuantizedDemoTest {
 protected:
  static Words with_store(Words words) {
    words.insert(words.end(), {"--db", beside("replay.db")});
    return words;
  }
  static json record(const std::string& name, const Words& more) {
    std::string prompt;
    for (int i = 0; i < 4; ++i) prompt += "One day, a girl named Lily found a needle in her room. ";
    Words words = {"generate",     model_folder(), "--prompt",        prompt,
                   "--max-tokens", "40",           "--prefill-chunk", "16",
                   "--record",     name,           "--device",        "emulated"};
    words.insert(words.end(), more.begin(), more.end());
    return run_json(with_store(words)).at("experts");
  }
  static json simulate(const std::string& name) {
    return run_json(with_store({"simulate", "--trace", name, "--as-recorded"}));
  }
  static std::string plan_file() {
    experts::Plan plan;
    plan.shape = {6, 16, 2};
    plan.budget_experts = 12;
    plan.scores = json::object();
    for (int i = 0; i < 12; ++i) plan.pinned.push_back({i % 6, 5 + i / 6, 1});
    experts::write_plan(plan, beside("plan.json"));
    return beside("plan.json");
  }

  static void expect_equal(const std::string& name, const json& live) {
    SCOPED_TRACE(name);
    ASSERT_EQ(live.at("dropped_events"), 0);
    const json found = simulate(name);
    const json& again = found.at("results").at(0);
    EXPECT_EQ(found.at("tokens"), live.at("tokens"));
    EXPECT_EQ(again.at("capacity"), live.at("capacity"));
    for (const char* key : {"accesses", "hits", "uploads", "evictions"}) {
      EXPECT_EQ(again.at(key), live.at(key)) << key;
      EXPECT_EQ(found.at("recorded").at(key), live.at(key)) << key;
    }
    EXPECT_EQ(again.at("per_layer_hit_rate"), live.at("per_layer_hit_rate"));
    for (const char* key : {"mean", "std"}) {
      const double expected = live.at("modelled_ms_per_token").at(key);
      EXPECT_NEAR(again.at("modelled_ms_per_token").at(key), expected, 1e-9 + 1e-6 * expected);
    }
    EXPECT_GT(live.at("modelled_ms_per_token").at("mean"), 0);
  }
};

TEST_F(Replays, DecideAsTheRunDid) {
  const std::string plan = plan_file();
  for (const char* policy : {"none", "lru", "lru-layer", "ema", "path", "auto"}) {
    const json live = record(policy, {"--policy", policy, "--vram", "25%"});
    // path and auto weigh copies by the costs that were measured here: on a model so small they may
    // rightly make none.
    if (std::string(policy).starts_with("lru") || std::string(policy) == "ema") {
      EXPECT_GT(live.at("hits"), 0) << policy;
    }
    expect_equal(policy, live);
  }
  for (const char* policy : {"static", "plan+lru", "plan+ema", "plan+path", "auto"}) {
    const std::string name = std::string("with a plan: ") + policy;
    const json live = record(name, {"--policy", policy, "--vram", "24x", "--plan", plan});
    if (std::string(policy) != "auto") {
      EXPECT_GT(live.at("hits"), 0) << policy;
    }
    expect_equal(name, live);
  }
}

TEST_F(Replays, KnowTheMissModeTheGoalAndWhatWasLearned) {
  record("before", {"--policy", "lru", "--vram", "50%"});
  expect_equal("up", record("up", {"--policy", "ema", "--vram", "10x", "--miss", "upload"}));
  expect_equal("down", record("down", {"--policy", "lru", "--vram", "10x", "--miss", "cpu"}));
  expect_equal("goal", record("goal", {"--policy", "path", "--vram", "30x", "--path-goal", "hits",
                                       "--learn", "before"}));
  expect_equal("small", record("small", {"--policy", "lru", "--vram", "1x"}));
  expect_equal("nothing", record("nothing", {"--policy", "auto", "--vram", "0"}));
  expect_equal("all", record("all", {"--policy", "lru", "--vram", "all", "--link", "0.5"}));
}

TEST_F(Replays, AnAnswerThatWasStoppedIsRecordedUpToThere) {
  ProcessOptions options;
  options.interrupt = [](const std::string& out, const std::string&) { return out.size() > 20; };
  const ProcessResult stopped =
      run_haq(with_store({"generate", "--prompt", "Once upon a time", "--max-tokens", "100000",
                          "--temperature", "1", "--compute", "fp32", "--threads", "1", "--record",
                          "stopped", "--device", "emulated", "--vram", "25%"}),
              options);
  EXPECT_EQ(stopped.code, 130) << stopped.err;
  const json found = simulate("stopped");
  EXPECT_GT(found.at("tokens"), 4);
  // The step under way may have been counted before it was stopped.
  EXPECT_LE(found.at("results").at(0).at("hits"), found.at("recorded").at("hits"));
}

TEST_F(Replays, OptionsThatTheRecordingDecidesAreRefused) {
  record("plain", {"--policy", "lru", "--vram", "25%"});
  for (const char* option : {"--capacity", "--policy", "--link"}) {
    const ProcessResult result =
        run_haq(with_store({"simulate", "--trace", "plain", "--as-recorded", option,
                            std::string(option) == "--policy" ? "lru" : "25"}));
    expect_failure(result, 2);
  }
  expect_failure(run_haq(with_store({"simulate", "--trace", "absent", "--as-recorded"})), 1);
  const ProcessResult table =
      run_haq(with_store({"simulate", "--trace", "plain", "--as-recorded"}));
  EXPECT_EQ(table.code, 0) << table.err;
  EXPECT_THAT(table.out, testing::HasSubstr("the run itself"));
}

}  // namespace
}  // namespace haq::test
