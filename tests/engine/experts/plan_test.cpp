// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/experts/placement/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "engine/base/error.h"
#include "tests/support/errors.h"
#include "tests/support/paths.h"

namespace haq::experts {
namespace {

using Json = nlohmann::ordered_json;
using test::error_of;
using testing::HasSubstr;

Plan example() {
  Plan plan;
  plan.fingerprint = "abc";
  plan.architecture = "OlmoeForCausalLM";
  plan.shape = {2, 4, 2};
  plan.budget_experts = 4;
  plan.strategy = "two-stage";
  plan.sources = {"monday", "tuesday"};
  plan.pinned = {{1, 3, 1}, {0, 0, 1}, {0, 2, 2}};
  plan.scores = {{"coverage", 0.5}};
  return plan;
}

TEST(Plan, HasTheKeysOfTheContract) {
  const Json json = to_json(example());
  EXPECT_EQ(json.at("schema"), 1);
  EXPECT_EQ(json.at("model").at("fingerprint"), "abc");
  EXPECT_EQ(json.at("model").at("architecture"), "OlmoeForCausalLM");
  EXPECT_EQ(json.at("model").at("layers"), 2);
  EXPECT_EQ(json.at("model").at("experts"), 4);
  EXPECT_EQ(json.at("model").at("top_k"), 2);
  EXPECT_EQ(json.at("budget_experts"), 4);
  EXPECT_EQ(json.at("sources"), (Json{"monday", "tuesday"}));
  EXPECT_EQ(json.at("pinned").at(2), (Json{{"layer", 0}, {"expert", 2}, {"stage", 2}}));
  EXPECT_EQ(json.at("scores").at("coverage"), 0.5);
}

TEST(Plan, ComesBackFromAFile) {
  const test::TempDir folder;
  const auto file = folder.path() / "plan.json";
  write_plan(example(), file);
  const Plan read = read_plan(file);
  EXPECT_EQ(to_json(read), to_json(example()));
  EXPECT_EQ(read.shape, example().shape);
  EXPECT_EQ(read.pinned.front().expert, 3);
}

TEST(Plan, FaultsNameFileFieldFoundAndExpected) {
  const Json good = to_json(example());
  const auto refused = [&](const char* change, const char* expected,
                           ErrorCode code = ErrorCode::kCorrupt) {
    SCOPED_TRACE(change);
    const Json json = good.patch(nlohmann::ordered_json::parse(change));
    const Error error = error_of([&] { plan_from_json(json, "p.json"); });
    EXPECT_EQ(error.code(), code) << error.what();
    EXPECT_THAT(error.what(), HasSubstr("p.json"));
    EXPECT_THAT(error.what(), HasSubstr(expected));
  };
  refused(R"([{"op":"replace","path":"/schema","value":2}])", "schema is 2, expected 1");
  refused(R"([{"op":"replace","path":"/schema","value":1.0}])", "schema is 1.0");
  refused(R"([{"op":"remove","path":"/schema"}])", "schema is missing");
  refused(R"([{"op":"remove","path":"/model"}])", "model is missing");
  refused(R"([{"op":"replace","path":"/model/layers","value":0}])", "model.layers is 0",
          ErrorCode::kLimit);
  refused(R"([{"op":"replace","path":"/model/experts","value":1000000}])", "model.experts",
          ErrorCode::kLimit);
  refused(R"([{"op":"replace","path":"/model/top_k","value":18446744073709551615}])", "model.top_k",
          ErrorCode::kLimit);
  refused(R"([{"op":"replace","path":"/model/fingerprint","value":7}])", "model.fingerprint is 7");
  refused(R"([{"op":"replace","path":"/budget_experts","value":9}])", "expected 0 to 8");
  refused(R"([{"op":"replace","path":"/budget_experts","value":2}])", "pinned lists 3 experts");
  refused(R"([{"op":"replace","path":"/sources","value":"monday"}])", "sources is \"monday\"");
  refused(R"([{"op":"replace","path":"/sources/1","value":3}])", "sources[1] is 3");
  refused(R"([{"op":"remove","path":"/pinned"}])", "pinned is missing");
  refused(R"([{"op":"replace","path":"/pinned/0","value":[1,3]}])", "pinned[0] is [1,3]");
  refused(R"([{"op":"replace","path":"/pinned/1/expert","value":4}])", "pinned[1].expert is 4");
  refused(R"([{"op":"replace","path":"/pinned/1/layer","value":-1}])", "pinned[1].layer is -1");
  refused(R"([{"op":"replace","path":"/pinned/1/layer","value":"0"}])", "pinned[1].layer is \"0\"");
  refused(R"([{"op":"remove","path":"/pinned/1/stage"}])", "pinned[1].stage is missing");
  refused(R"([{"op":"replace","path":"/pinned/1/stage","value":3}])", "pinned[1].stage is 3");
  refused(R"([{"op":"replace","path":"/pinned/2","value":{"layer":1,"expert":3,"stage":2}}])",
          "pinned[2] repeats expert 3 of layer 1");
  refused(R"([{"op":"replace","path":"/scores","value":1}])", "scores is 1");
}

TEST(Plan, FilesThatAreNoPlanAreRefused) {
  const test::TempDir folder;
  const auto write = [&](const char* name, const std::string& text) {
    std::ofstream(folder.path() / name) << text;
    return folder.path() / name;
  };
  for (const auto& file : {write("a", ""), write("b", "[]"), write("c", "{\"schema\":1"),
                           write("d", std::string(1000, '[')), write("e", "{\"schema\":\"\xff\"}"),
                           folder.path() / "missing"}) {
    const Error error = error_of([&] { read_plan(file); });
    EXPECT_THAT(error.what(), HasSubstr(file.string()));
  }
}

TEST(Plan, OnlyFitsItsModel) {
  const Plan plan = example();
  EXPECT_NO_THROW(check_plan(plan, {2, 4, 2}, "abc", "p.json", "the model"));
  EXPECT_NO_THROW(check_plan(plan, {2, 4, 2}, "", "p.json", "the model"));
  const auto refused = [&](const ExpertShape& shape, const std::string& fingerprint) {
    const Error error =
        error_of([&] { check_plan(plan, shape, fingerprint, "p.json", "the model"); });
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    return std::string(error.what());
  };
  EXPECT_THAT(refused({3, 4, 2}, "abc"),
              HasSubstr("p.json is a plan for 2 layers of 4 experts, top-2, the model has 3"));
  EXPECT_THAT(refused({2, 8, 2}, ""), HasSubstr("8 experts"));
  EXPECT_THAT(refused({2, 4, 3}, ""), HasSubstr("top-3"));
  EXPECT_THAT(refused({0, 0, 0}, ""), HasSubstr("no routed experts"));
  EXPECT_THAT(refused({2, 4, 2}, "xyz"), HasSubstr("fingerprint abc, the model has xyz"));
}

TEST(Plan, OfARecordingWithFewerRanksStillFits) {
  Plan plan = example();
  plan.fingerprint.clear();
  EXPECT_NO_THROW(check_plan(plan, {2, 4, 3}, "xyz", "p.json", "the model"));
  EXPECT_THROW(check_plan(plan, {2, 4, 1}, "xyz", "p.json", "the model"), Error);
}

}  // namespace
}  // namespace haq::experts
