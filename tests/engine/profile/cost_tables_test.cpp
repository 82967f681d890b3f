// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/profile/store/cost_tables.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "engine/profile/store/store_file.h"
#include "tests/engine/profile/recording_samples.h"
#include "tests/support/errors.h"
#include "tests/support/paths.h"

namespace haq::profile {
namespace {

using test::code_of;
using test::error_of;
using testing::HasSubstr;

StoredCosts sample_costs(const std::string& machine, const std::string& device) {
  StoredCosts costs;
  costs.key = {machine, device, "64 x 128, int8"};
  costs.updated_ms = 1000;
  costs.observations = 12;
  costs.table.cpu = {{1, 10.1}, {16, 0.1 + 0.2}, {1024, 1e5 / 3}};
  costs.table.device = {{1, 1.0 / 3}};
  costs.table.upload_fixed_us = 8.7;
  costs.table.link_gb_s = 25.3;
  costs.table.expert_bytes = 24576;
  costs.table.source = "measured";
  return costs;
}

class CostTablesTest : public testing::Test {
 protected:
  std::int64_t machines() { return store_.database.query_integer("SELECT count(*) FROM machines"); }
  test::TempDir folder_;
  StoreFile store_ = StoreFile::open(folder_.path() / "haq.db", Database::Access::kReadWrite);
  CostTables tables_{store_.database};
};

TEST_F(CostTablesTest, ATableComesBackToTheLastBit) {
  const StoredCosts costs = sample_costs("one", "card");
  EXPECT_FALSE(tables_.find(costs.key));
  tables_.put(costs);
  const auto back = tables_.find(costs.key);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->updated_ms, 1000);
  EXPECT_EQ(back->observations, 12);
  EXPECT_EQ(experts::to_json(back->table), experts::to_json(costs.table));
  for (std::size_t i = 0; i < costs.table.cpu.size(); ++i) {
    EXPECT_EQ(back->table.cpu[i].us, costs.table.cpu[i].us);
  }
  EXPECT_EQ(back->table.device[0].us, 1.0 / 3);
}

TEST_F(CostTablesTest, AKeyIsReplacedAndOthersStay) {
  StoredCosts costs = sample_costs("one", "card");
  tables_.put(costs);
  tables_.put(sample_costs("one", "other"));
  tables_.put(sample_costs("two", "card"));
  EXPECT_EQ(machines(), 2);
  costs.observations = 40;
  costs.updated_ms = 0;
  tables_.put(costs);
  EXPECT_EQ(tables_.list().size(), 3U);
  EXPECT_EQ(tables_.list()[0].observations, 40) << "the latest comes first";
  EXPECT_GT(tables_.list()[0].updated_ms, 1600000000000);
  tables_.remove(costs.key);
  EXPECT_FALSE(tables_.find(costs.key));
  EXPECT_TRUE(tables_.find(sample_costs("one", "other").key));
  tables_.remove(sample_costs("two", "card").key);
  EXPECT_EQ(machines(), 1) << "a machine goes with its last table";
  EXPECT_EQ(code_of([&] { tables_.remove(costs.key); }), ErrorCode::kNotFound);
}

TEST_F(CostTablesTest, RefusesWhatCouldNotBeReadBack) {
  StoredCosts costs = sample_costs("one", "card");
  costs.table.device.clear();
  EXPECT_EQ(code_of([&] { tables_.put(costs); }), ErrorCode::kInvalidArgument);
  costs = sample_costs("one", "card");
  costs.table.link_gb_s = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(code_of([&] { tables_.put(costs); }), ErrorCode::kInvalidArgument);
  costs = sample_costs("one", "card");
  costs.observations = -1;
  EXPECT_EQ(code_of([&] { tables_.put(costs); }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(machines(), 0);
}

TEST_F(CostTablesTest, WhatIsReadBackIsChecked) {
  const StoredCosts costs = sample_costs("one", "card");
  tables_.put(costs);
  store_.database.exec("UPDATE cost_tables SET costs = replace(costs, '25.3', '-1')");
  const Error error = error_of([&] { tables_.find(costs.key); });
  EXPECT_EQ(error.code(), ErrorCode::kCorrupt);
  EXPECT_THAT(error.what(), HasSubstr("link_gb_s"));
  EXPECT_THAT(error.what(), HasSubstr("card"));
}

}  // namespace
}  // namespace haq::profile
