// SPDX-License-Identifier: GPL-3.0-or-later
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <random>

#include "tests/cli/json_checks.h"
#include "tests/support/paths.h"

/// haq plan, haq stats and haq export-plan on paths that this file makes up.
namespace haq::test {
namespace {

using testing::HasSubstr;

class Placement : public testing::Test {
 protected:
  void SetUp() override {
    write_paths(paths_, 3, 1);
    write_paths(others_, 3, 2);
    write_paths(deeper_, 4, 3);
  }

  /// layer,expert rows of 80 tokens of top-2 of 8 experts; low numbers are chosen more often.
  static void write_paths(const std::string& file, int layers, unsigned seed) {
    std::mt19937 random(seed);
    std::ofstream out(file);
    out << "layer,expert\n";
    for (int token = 0; token < 80; ++token) {
      for (int layer = 0; layer < layers; ++layer) {
        const unsigned first = std::min(random() % 8, random() % 8);
        out << layer << ',' << first << '\n' << layer << ',' << (first + 1 + random() % 7) % 8;
        out << '\n';
      }
    }
  }

  std::vector<std::string> plan(std::vector<std::string> more) const {
    std::vector<std::string> words = {"plan", "--shape", "3,8", "--out", plan_};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }

  TempDir folder_;
  const std::string paths_ = (folder_.path() / "paths.csv").string();
  const std::string others_ = (folder_.path() / "others.csv").string();
  const std::string deeper_ = (folder_.path() / "deeper.csv").string();
  const std::string plan_ = (folder_.path() / "plan.json").string();
};

TEST_F(Placement, PlansHaveTheKeysOfTheContract) {
  const nlohmann::json json =
      run_json(plan({"--train", paths_, "--held-out", others_, "--budget", "25%"}));
  expect_keys(json, {"pinned", "budget_experts", "coverage", "held_out", "model", "sources",
                     "stage1_share", "compared", "train"});
  EXPECT_EQ(json.at("budget_experts"), 6);
  EXPECT_EQ(json.at("pinned").size(), 6U);
  expect_keys(json.at("pinned").at(0), {"layer", "expert", "stage"});
  expect_keys(json.at("held_out"), {"hit_rate", "per_layer_std", "ci95", "per_layer_hit_rate"});
  EXPECT_GT(json.at("held_out").at("hit_rate"), 0.25);
  EXPECT_EQ(json.at("sources"), nlohmann::json({paths_}));
  const nlohmann::json file = nlohmann::json::parse(std::ifstream(plan_));
  EXPECT_EQ(file.at("schema"), 1);
  EXPECT_EQ(file.at("pinned"), json.at("pinned"));
  EXPECT_EQ(file.at("scores").at("held_out"), json.at("held_out"));
}

TEST_F(Placement, EveryStrategyWorksAndPrintsATable) {
  for (const char* strategy :
       {"two-stage", "frequency", "frequency-layer", "uniform", "layer-optimum"}) {
    const ProcessResult result =
        run_haq(plan({"--train", paths_, "--budget", "5x", "--strategy", strategy}));
    EXPECT_EQ(result.code, 0) << result.err;
    EXPECT_THAT(result.out, HasSubstr("5 of 24 experts"));
    EXPECT_THAT(result.out, HasSubstr("training paths"));
  }
}

TEST_F(Placement, OneFileCanTrainAndJudge) {
  const nlohmann::json json =
      run_json(plan({"--train", paths_, "--held-out-from", "50", "--budget", "12x"}));
  EXPECT_EQ(json.at("train").at("tokens"), 50);
  EXPECT_EQ(json.at("held_out").at("tokens"), 30);
}

TEST_F(Placement, SeveralRecordingsFollowOneOption) {
  const nlohmann::json json = run_json(plan({"--budget", "50%", "--train", paths_, others_}));
  EXPECT_EQ(json.at("train").at("tokens"), 160);
  EXPECT_EQ(json.at("held_out"), nullptr);
  EXPECT_EQ(json.at("sources").size(), 2U);
}

TEST_F(Placement, RefusesWhatCannotBePlanned) {
  const std::vector<std::vector<std::string>> usage = {
      {"plan"},
      plan({"--budget", "25%"}),
      plan({"--train", paths_}),
      plan({"--train", paths_, "--budget", "25%", "--strategy", "best"}),
      plan({"--train", paths_, "--budget", "25%", "--stage1-share", "2"}),
      plan({"--train", paths_, "--budget", "25%", "--held-out-from", "80"}),
      plan({"--train", paths_, "--budget", "25%", "--model", "x"}),
      {"plan", "--shape", "3", "--train", paths_, "--budget", "25%", "--out", plan_},
      {"plan", "--shape", "3,x", "--train", paths_, "--budget", "25%", "--out", plan_},
  };
  for (const std::vector<std::string>& words : usage) {
    SCOPED_TRACE(testing::PrintToString(words));
    expect_failure(run_haq(words), 2);
  }
  const std::vector<std::vector<std::string>> failed = {
      plan({"--train", deeper_, "--budget", "25%", "--quiet"}),
      plan({"--train", paths_, "--held-out", deeper_, "--budget", "25%", "--quiet"}),
      plan({"--train", paths_, "--budget", "12", "--quiet"}),
      plan({"--train", paths_, "--budget", "25x", "--quiet"}),
      plan({"--train", paths_, "--budget", "8GiB", "--quiet"}),
      plan({"--train", "no-such-recording", "--budget", "25%", "--quiet", "--db",
            (folder_.path() / "none.db").string()}),
  };
  for (const std::vector<std::string>& words : failed) {
    SCOPED_TRACE(testing::PrintToString(words));
    expect_failure(run_haq(words), 1);
  }
  EXPECT_FALSE(std::filesystem::exists(plan_));
}

TEST_F(Placement, ExportsForOthers) {
  run_json(plan({"--train", paths_, "--budget", "16x"}));
  const nlohmann::json whole = run_json({"export-plan", plan_});
  EXPECT_EQ(whole.at("plan").at("pinned").size(), 16U);
  const ProcessResult csv = run_haq({"export-plan", plan_, "--format", "csv"});
  EXPECT_EQ(csv.code, 0);
  EXPECT_EQ(csv.out.substr(0, 19), "layer,expert,stage\n");
  EXPECT_EQ(std::count(csv.out.begin(), csv.out.end(), '\n'), 17);
  const nlohmann::json llama = run_json({"export-plan", plan_, "--format", "llama.cpp"});
  EXPECT_THAT(llama.at("override_tensor").get<std::string>(), HasSubstr("_exps=CPU"));
  EXPECT_EQ(llama.at("n_cpu_moe"), "-ngl 99 --n-cpu-moe 1");
  EXPECT_EQ(llama.at("resident_experts"), 16);
  EXPECT_GE(llama.at("lost").size(), 3U);
  const std::string out = (folder_.path() / "plan.csv").string();
  EXPECT_EQ(run_haq({"export-plan", plan_, "--format", "csv", "--out", out}).code, 0);
  EXPECT_TRUE(std::filesystem::exists(out));
}

TEST_F(Placement, ExportRefusesWhatIsNoPlan) {
  const std::string file = (folder_.path() / "bad.json").string();
  const auto refused = [&](const std::string& text) {
    std::ofstream(file) << text;
    expect_failure(run_haq({"export-plan", file}), 1);
  };
  refused("[]");
  refused("{\"schema\":2}");
  refused(R"({"schema":1,"model":{"layers":1,"experts":2,"top_k":1},"budget_experts":2,"pinned":[)"
          R"({"layer":0,"expert":1,"stage":1},{"layer":0,"expert":1,"stage":1}]})");
  refused(R"({"schema":1,"model":{"layers":1,"experts":2,"top_k":1},"budget_experts":1,"pinned":[)"
          R"({"layer":0,"expert":1,"stage":1},{"layer":0,"expert":0,"stage":1}]})");
  refused(R"({"schema":1,"model":{"layers":1,"experts":2,"top_k":1},"budget_experts":1,"pinned":[)"
          R"({"layer":0,"expert":2,"stage":1}]})");
  expect_failure(run_haq({"export-plan", paths_}), 1);
  expect_failure(run_haq({"export-plan"}), 2);
  // The demo model has another shape.
  run_json(plan({"--train", paths_, "--budget", "16x"}));
  expect_failure(run_haq({"export-plan", plan_, "--format", "llama.cpp", "--model",
                          (source_dir() / "resources" / "models" / "demo-moe").string()}),
                 1);
}

TEST_F(Placement, SimulateReplaysPlansAndTwoStagePlacement) {
  run_json(plan({"--train", paths_, "--held-out-from", "50", "--budget", "9x"}));
  const nlohmann::json json =
      run_json({"simulate", "--trace", paths_, "--held-out-from", "50", "--plan", plan_});
  const nlohmann::json planned = nlohmann::json::parse(std::ifstream(plan_));
  std::map<std::string, nlohmann::json> rows;
  for (const nlohmann::json& row : json.at("results")) rows[row.at("policy")] = row;
  for (const char* name : {"two-stage", "static"}) {
    ASSERT_TRUE(rows.contains(name)) << name;
    EXPECT_EQ(rows[name].at("capacity"), 9);
    EXPECT_NEAR(rows[name].at("hit_rate").get<double>(),
                planned.at("scores").at("held_out").at("hit_rate").get<double>(), 1e-12);
  }
  for (const char* name : {"plan+lru", "plan+ema", "plan+path"}) EXPECT_TRUE(rows.contains(name));
  EXPECT_FALSE(rows["two-stage"].at("in_sample").get<bool>());
  // Without a plan there is no row that needs one, and none can be asked for.
  const nlohmann::json without = run_json({"simulate", "--trace", paths_, "--capacity", "9"});
  for (const nlohmann::json& row : without.at("results")) {
    EXPECT_NE(row.at("policy"), "static");
    const bool trained = row.at("policy") == "two-stage";
    EXPECT_TRUE(!trained || row.at("in_sample").get<bool>());
  }
  expect_failure(run_haq({"simulate", "--trace", paths_, "--capacity", "9", "--policy", "static"}),
                 2);
  expect_failure(run_haq({"simulate", "--trace", deeper_, "--plan", plan_, "--quiet"}), 1);
}

TEST_F(Placement, InfoCountsWhatExpertsNeedOnTheDevice) {
  const nlohmann::json half =
      run_json({"info", "--synthetic", "mixtral-8x7b", "--vram", "128x"}).at("memory");
  const nlohmann::json& experts = half.at("experts");
  EXPECT_EQ(experts.at("slots"), 128);
  EXPECT_EQ(experts.at("of"), 256);
  EXPECT_EQ(half.at("device_total"), experts.at("resident_bytes").at("bits8"));
  EXPECT_NEAR(experts.at("resident_bytes").at("bits8").get<double>(), 128 * 176.2e6, 128 * 1e6);
  EXPECT_GE(experts.at("saved_against_all_bits16").at("bits8"), 0.6);
  EXPECT_GE(experts.at("whole_model").at("saved"), 0.6);
  const nlohmann::json bytes =
      run_json({"info", "--synthetic", "mixtral-8x7b", "--vram", "24GiB"}).at("memory");
  EXPECT_LE(bytes.at("device_total").get<double>(), 24.0 * (1 << 30));
  EXPECT_EQ(bytes.at("experts").at("slots"), 146);
  EXPECT_EQ(bytes.at("experts").at("slots_at_bits16"), 73);
}

TEST_F(Placement, InfoStatesAPlansHitRate) {
  const std::string paths = (folder_.path() / "mixtral.csv").string();
  write_paths(paths, 32, 5);
  const nlohmann::json made =
      run_json({"plan", "--shape", "32,8", "--train", paths, "--held-out-from", "50", "--budget",
                "50%", "--out", plan_});
  const nlohmann::json json =
      run_json({"info", "--synthetic", "mixtral-8x7b", "--plan", plan_}).at("memory").at("experts");
  EXPECT_EQ(json.at("slots"), 128);
  EXPECT_EQ(json.at("hit_rate"), made.at("held_out").at("hit_rate"));
  EXPECT_EQ(json.at("hit_rate_from"), "held_out");
  EXPECT_THAT(run_haq({"info", "--synthetic", "mixtral-8x7b", "--plan", plan_}).out,
              HasSubstr("of accesses, as the plan states"));
  expect_failure(run_haq({"info", "--synthetic", "olmoe-1b-7b", "--plan", plan_, "--quiet"}), 1);
  expect_failure(run_haq({"info", "--synthetic", "mixtral-8x7b", "--plan", plan_, "--vram", "1x"}),
                 2);
  expect_failure(run_haq({"info", "--synthetic", "mixtral-8x7b", "--vram", "12", "--quiet"}), 1);
}

TEST_F(Placement, StatsHaveTheKeysOfTheContract) {
  const nlohmann::json json = run_json({"stats", paths_});
  expect_keys(json, {"layers", "phases", "paths", "growth", "sets", "tokens", "prompts"});
  ASSERT_EQ(json.at("layers").size(), 3U);
  expect_keys(json.at("layers").at(0),
              {"entropy", "entropy_share", "max_over_mean", "dead", "cold", "load",
               "reuse_distance", "next_token_overlap", "next_layer"});
  EXPECT_EQ(json.at("layers").at(0).at("choices"), 160);
  EXPECT_EQ(json.at("phases").at("decode").at("tokens"), 80);
  EXPECT_EQ(json.at("phases").at("prefill").at("tokens"), 0);
  const ProcessResult table = run_haq({"stats", paths_, "--quiet"});
  EXPECT_EQ(table.code, 0);
  EXPECT_THAT(table.out, HasSubstr("entropy %"));
}

TEST_F(Placement, StatsOfSeveralSetsShowHowPlansCarryOver) {
  const nlohmann::json json = run_json({"stats", paths_, others_, "--pairs", "2"});
  EXPECT_EQ(json.at("tokens"), 160);
  ASSERT_EQ(json.at("sets").size(), 2U);
  EXPECT_EQ(json.at("sets").at(1).at("hit_rate_of_its_plan_on").size(), 2U);
  EXPECT_EQ(json.at("layers").at(0).at("next_layer").at("pairs").size(), 2U);
  expect_failure(run_haq({"stats"}), 2);
  expect_failure(run_haq({"stats", paths_, deeper_, "--quiet"}), 1);
  expect_failure(run_haq({"stats", paths_, "--experts", "4", "--quiet"}), 1);
}

}  // namespace
}  // namespace haq::test
