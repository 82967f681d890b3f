// SPDX-License-Identifier: GPL-3.0-or-later
// What a recording tells about its run, read back, and read from hands that changed it.
#include "engine/session/experts/expert_run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace haq::session {
namespace {

using Json = nlohmann::ordered_json;

constexpr experts::ExpertShape kShape{4, 16, 2};

ExpertRun sample() {
  ExpertRun run;
  run.device = "emulated";
  run.device_name = "some card (emulated)";
  run.emulated = true;
  run.options.policy = "plan+path";
  run.options.capacity = 12;
  run.options.miss = experts::MissMode::kUpload;
  experts::PolicyOptions& policy = run.options.policy_options;
  policy.path_goal = experts::PathGoal::kHits;
  policy.decay = 0.9;
  policy.margin = 1.25;
  policy.uploads_per_step = 3;
  policy.plan = {5, 63, 0};
  policy.costs.cpu = {{1, 20.125}, {8, 90.3}};
  policy.costs.device = {{1, 5}};
  policy.costs.upload_fixed_us = 10;
  policy.costs.link_gb_s = 12.6;
  policy.costs.expert_bytes = 98304;
  policy.costs.source = "emulated";
  run.costs_known = true;
  run.learn = "yesterday";
  run.threads = 2;
  run.prefill_chunk = 64;
  return run;
}

TEST(ExpertRun, ReadsBackWhatItWrote) {
  const Json json = to_json(sample());
  const ExpertRun back = expert_run_from_json(Json::parse(json.dump()), kShape, "r");
  EXPECT_EQ(to_json(back), json);
  EXPECT_EQ(back.options.policy_options.costs.cpu_us(8), 90.3);
  EXPECT_EQ(back.options.policy_options.plan, (std::vector<experts::ExpertIndex>{5, 63, 0}));
}

TEST(ExpertRun, ARunOnTheCpuHasNoCosts) {
  ExpertRun run;
  run.device = run.device_name = "cpu";
  const Json json = to_json(run);
  EXPECT_TRUE(json.at("costs").is_null());
  EXPECT_FALSE(expert_run_from_json(json, kShape, "r").costs_known);
}

TEST(ExpertRun, FieldsOutsideTheirRangeAreNamed) {
  const std::vector<std::pair<const char*, Json>> wrong = {
      {"device", 3},
      {"policy", nullptr},
      {"capacity", 65},
      {"capacity", -1},
      {"capacity", 1.5},
      {"capacity", "12"},
      {"miss", "gpu"},
      {"path_goal", "speed"},
      {"decay", 2},
      {"margin", -1},
      {"uploads_per_step", 1e9},
      {"plan", {64}},
      {"plan", {-1}},
      {"plan", {1.5}},
      {"plan", {"a"}},
      {"plan", 7},
      {"costs", 7},
      {"costs", {{"cpu_us", 1}}},
      {"emulated", "true"},
      {"learn", 5},
      {"threads", 1e300},
      {"prefill_chunk", -4},
  };
  for (const auto& [field, value] : wrong) {
    Json json = to_json(sample());
    json[field] = value;
    try {
      expert_run_from_json(json, kShape, "the recording");
      ADD_FAILURE() << field << " = " << value;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kCorrupt) << error.what();
      EXPECT_THAT(error.what(), testing::HasSubstr(field));
      EXPECT_THAT(error.what(), testing::HasSubstr("the recording"));
    }
  }
  EXPECT_THROW(expert_run_from_json(Json::array(), kShape, "r"), Error);
  EXPECT_THROW(expert_run_from_json(Json::object(), kShape, "r"), Error);
  Json crowded = to_json(sample());
  crowded["plan"] = Json::array();
  for (int i = 0; i < 13; ++i) crowded["plan"].push_back(i);
  EXPECT_THROW(expert_run_from_json(crowded, kShape, "r"), Error);
}

}  // namespace
}  // namespace haq::session
