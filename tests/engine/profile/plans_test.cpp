// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/profile/store/plans.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/profile/store/store_file.h"
#include "tests/engine/profile/recording_samples.h"
#include "tests/support/errors.h"
#include "tests/support/paths.h"

namespace haq::profile {
namespace {

using test::code_of;
using test::error_of;
using testing::HasSubstr;

experts::Plan sample_plan(double coverage) {
  experts::Plan plan;
  plan.fingerprint = "abc";
  plan.architecture = "mixtral";
  plan.shape = {2, 4, 2};
  plan.budget_experts = 3;
  plan.strategy = "two-stage";
  plan.sources = {"monday"};
  plan.pinned = {{1, 3, 1}, {0, 0, 2}};
  plan.scores = {{"coverage", coverage}};
  return plan;
}

std::string text_of(const experts::Plan& plan) {
  return experts::to_json(plan).dump();
}

class PlansTest : public testing::Test {
 protected:
  test::TempDir folder_;
  StoreFile store_ = StoreFile::open(folder_.path() / "haq.db", Database::Access::kReadWrite);
  Plans plans_{store_.database};
};

TEST_F(PlansTest, KeepsThePlanAndItsScores) {
  const std::string text = text_of(sample_plan(0.5));
  const std::int64_t id = plans_.put("a", text);
  const StoredPlan stored = plans_.get("a");
  EXPECT_EQ(stored.id, id);
  EXPECT_EQ(stored.plan_json, text);
  EXPECT_EQ(stored.scores_json, R"({"coverage":0.5})");
  EXPECT_GT(stored.created_ms, 1600000000000);
  EXPECT_EQ(text_of(plans_.plan("a")), text);
}

TEST_F(PlansTest, ANameIsReplacedRenamedRemoved) {
  const std::int64_t id = plans_.put("a", text_of(sample_plan(0.5)));
  EXPECT_EQ(plans_.put("a", text_of(sample_plan(0.75))), id);
  plans_.put("b", text_of(sample_plan(0.25)));
  const auto list = plans_.list();
  ASSERT_EQ(list.size(), 2U);
  EXPECT_EQ(list[0].name, "b");
  EXPECT_TRUE(list[0].plan_json.empty());
  EXPECT_EQ(list[1].scores_json, R"({"coverage":0.75})");
  EXPECT_EQ(code_of([&] { plans_.rename("a", "b"); }), ErrorCode::kConflict);
  plans_.rename("a", "c");
  EXPECT_EQ(plans_.get("c").id, id);
  plans_.remove("c");
  EXPECT_EQ(plans_.list().size(), 1U);
}

TEST_F(PlansTest, RefusesWhatIsNoPlan) {
  const std::string good = text_of(sample_plan(0.5));
  EXPECT_EQ(code_of([&] { plans_.put("", good); }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code_of([&] { plans_.put("a\n", good); }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code_of([&] { plans_.put("a", "{"); }), ErrorCode::kCorrupt);
  EXPECT_EQ(code_of([&] { plans_.put("a", "{}"); }), ErrorCode::kCorrupt);
  experts::Plan twice = sample_plan(0.5);
  twice.pinned[1] = twice.pinned[0];
  EXPECT_EQ(code_of([&] { plans_.put("a", text_of(twice)); }), ErrorCode::kCorrupt);
  EXPECT_TRUE(plans_.list().empty());
  EXPECT_EQ(code_of([&] { plans_.get("a"); }), ErrorCode::kNotFound);
  EXPECT_EQ(code_of([&] { plans_.plan("a"); }), ErrorCode::kNotFound);
  EXPECT_EQ(code_of([&] { plans_.remove("a"); }), ErrorCode::kNotFound);
  EXPECT_EQ(code_of([&] { plans_.rename("a", "b"); }), ErrorCode::kNotFound);
}

TEST_F(PlansTest, WhatIsReadBackIsChecked) {
  plans_.put("a", text_of(sample_plan(0.5)));
  store_.database.exec(R"(UPDATE plans SET plan = replace(plan, '"layer":1', '"layer":9'))");
  const Error error = error_of([&] { plans_.plan("a"); });
  EXPECT_EQ(error.code(), ErrorCode::kCorrupt);
  EXPECT_THAT(error.what(), HasSubstr("plan \"a\": pinned[0].layer"));
}

}  // namespace
}  // namespace haq::profile
