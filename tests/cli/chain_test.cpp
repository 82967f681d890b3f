// SPDX-License-Identifier: GPL-3.0-or-later
// Record, plan, run with the plan, look at the statistics: one after the other as a user does.
#include <gmock/gmock.h>

#include <fstream>

#include "tests/cli/json_checks.h"
#include "tests/cli/quantized_demo.h"

namespace haq::test {
namespace {

using nlohmann::json;
using Words = std::vector<std::string>;

class Chain : public QuantizedDemoTest {
 protected:
  static json command(Words words) {
    words.insert(words.end(), {"--db", beside("chain.db")});
    return run_json(std::move(words));
  }
  static Words generate(const Words& more) {
    Words words = {"generate",     model_folder(),
                   "--prompt",     "One day, a boy named Tim found a ball",
                   "--max-tokens", "60"};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
};

TEST_F(Chain, ProfilePlanGenerateStatsSimulate) {
  std::ofstream(beside("prompts.jsonl"))
      << "{\"prompt\": \"Once upon a time there was a little dog\"}\n"
      << "{\"prompt\": \"Lily and Tom went to the park\"}\n"
      << "{\"prompt\": \"The cat saw a big red ball\"}\n"
      << "{\"prompt\": \"One sunny day, a bird sang\"}\n";
  const json profile = command({"profile", model_folder(), "--prompts", beside("prompts.jsonl"),
                                "--name", "stories", "--max-tokens", "40"});
  EXPECT_EQ(profile.at("recording"), "stories");
  EXPECT_EQ(profile.at("experts"), 16);
  EXPECT_EQ(profile.at("dropped_events"), 0);
  EXPECT_GT(profile.at("tokens"), 4 * 20);

  const json plan = command({"plan", "--model", model_folder(), "--train", "stories", "--budget",
                             "25%", "--out", beside("plan.json")});
  EXPECT_EQ(plan.at("budget_experts"), 24);

  const json plain = command(generate({"--device", "cpu"}));
  const json pinned = command(generate({"--device", "emulated", "--plan", beside("plan.json"),
                                        "--policy", "static", "--record", "pinned"}));
  EXPECT_EQ(pinned.at("digest"), plain.at("digest"));
  const json& experts = pinned.at("experts");
  EXPECT_EQ(experts.at("capacity"), 24);
  EXPECT_EQ(experts.at("uploads"), 0);
  // What was recorded tells which experts matter: better than any quarter of them would do.
  EXPECT_GT(experts.at("hit_rate"), 0.25);
  const json automatic = command(
      generate({"--device", "emulated", "--plan", beside("plan.json"), "--learn", "stories"}));
  EXPECT_EQ(automatic.at("digest"), plain.at("digest"));

  const json stats = command({"stats", "pinned"});
  EXPECT_EQ(stats.at("layers").size(), 6U);
  expect_keys(stats.at("layers").at(0), {"entropy", "max_over_mean", "dead"});

  const json again = command({"simulate", "--trace", "pinned", "--as-recorded"});
  EXPECT_EQ(again.at("results").at(0).at("hits"), experts.at("hits"));
  EXPECT_EQ(again.at("tokens"), experts.at("tokens"));
}

TEST_F(Chain, APlanIsForItsModel) {
  const json profile = command({"profile", "--text", model::demo_sample_text().string(), "--name",
                                "sixteen bits", "--max-tokens", "4", "--prompt-tokens", "64"});
  EXPECT_GT(profile.at("tokens"), 64);
  // Without a base fingerprint the rounded folder is a model of its own.
  command({"plan", "--model", model::demo_model_dir().string(), "--train", "sixteen bits",
           "--budget", "10x", "--out", beside("sixteen.json")});
  Words words = generate(
      {"--device", "emulated", "--plan", beside("sixteen.json"), "--db", beside("chain.db")});
  const ProcessResult refused = run_haq(words);
  expect_failure(refused, 1);
  EXPECT_THAT(refused.err, testing::HasSubstr("sixteen.json"));
}

}  // namespace
}  // namespace haq::test
