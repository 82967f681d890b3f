// SPDX-License-Identifier: GPL-3.0-or-later
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <nlohmann/json.hpp>
#include <random>
#include <vector>

#include "engine/experts/runtime/cost_model.h"
#include "engine/experts/runtime/cost_report.h"
#include "engine/experts/runtime/monotone.h"

namespace haq::experts {
namespace {

using Tokens = std::vector<std::uint16_t>;

CostTable frozen(const char* source = "measured") {
  CostTable table;
  for (const double tokens : {1, 2, 4, 8, 16, 32, 64, 128}) {
    table.cpu.push_back({tokens, 100 + 12 * tokens});
    table.device.push_back({tokens, 30 + tokens});
  }
  table.upload_fixed_us = 10;
  table.link_gb_s = 20;
  table.expert_bytes = 4e6;
  table.source = source;
  return table;
}

/// Lanes of one to eight experts with 1 to 100 tokens each, whose true time is the table's times
/// `factor`(tokens), with 5 % of noise and a share of wild outliers.
struct Machine {
  std::function<double(double)> factor;
  double outliers = 0;
  std::mt19937 random{11};

  void observe(CostRefit& refit, int steps) {
    const CostTable table = frozen();
    std::normal_distribution<double> noise(0, 0.05);
    std::uniform_real_distribution<double> unit(0, 1);
    for (int i = 0; i < steps; ++i) {
      const auto count = static_cast<std::uint16_t>(1 + std::pow(100, unit(random)) * 0.99);
      const Tokens tokens(1 + random() % 8, count);
      double us = 0;
      for (const std::uint16_t n : tokens) us += table.cpu_us(n) * factor(n);
      us *= std::exp(noise(random));
      if (unit(random) < outliers) us *= unit(random) < 0.8 ? 3 + 60 * unit(random) : 0.02;
      refit.add_cpu(tokens, us);
      refit.add_device(tokens, us);
    }
  }
};

TEST(CostRefit, RecoversOneFactor) {
  CostRefit refit(frozen());
  Machine{[](double) { return 1.7; }}.observe(refit, 4000);
  const CostTable fitted = refit.refitted();
  EXPECT_EQ(refit.observations(), 8000);
  for (std::size_t i = 0; i < fitted.cpu.size(); ++i) {
    EXPECT_EQ(fitted.cpu[i].tokens, frozen().cpu[i].tokens);
    EXPECT_NEAR(fitted.cpu[i].us / frozen().cpu[i].us, 1.7, 0.03) << i;
  }
}

TEST(CostRefit, IgnoresWildOutliers) {
  CostRefit refit(frozen());
  Machine{[](double) { return 0.6; }, 0.2}.observe(refit, 4000);
  const CostTable fitted = refit.refitted();
  for (std::size_t i = 0; i < fitted.cpu.size(); ++i) {
    EXPECT_NEAR(fitted.cpu[i].us / frozen().cpu[i].us, 0.6, 0.015) << i;
  }
}

TEST(CostRefit, FitsSmallAndLargeBatchesApart) {
  CostRefit refit(frozen());
  Machine{[](double tokens) { return tokens < 12 ? 2.0 : 1.25; }}.observe(refit, 8000);
  const CostTable fitted = refit.refitted();
  EXPECT_NEAR(fitted.cpu[0].us / frozen().cpu[0].us, 2.0, 0.04);
  EXPECT_NEAR(fitted.cpu[2].us / frozen().cpu[2].us, 2.0, 0.04);
  EXPECT_NEAR(fitted.cpu[5].us / frozen().cpu[5].us, 1.25, 0.03);
  EXPECT_NEAR(fitted.cpu[6].us / frozen().cpu[6].us, 1.25, 0.03);
}

TEST(CostRefit, FollowsTheExpertsThatTakeTheTime) {
  // One expert of 100 tokens beside seven of one: an observation of large batches.
  CostRefit refit(frozen());
  const CostTable table = frozen();
  const Tokens mixed{1, 1, 100};
  for (int i = 0; i < 20; ++i) {
    refit.add_cpu(mixed, 3 * (2 * table.cpu_us(1) + table.cpu_us(100)));
    refit.add_cpu({1}, table.cpu_us(1));
  }
  const CostTable fitted = refit.refitted();
  EXPECT_DOUBLE_EQ(fitted.cpu.front().us, table.cpu.front().us);
  EXPECT_NEAR(fitted.cpu.back().us, 3 * table.cpu.back().us, 1e-6);
}

TEST(CostRefit, AThinKnotKeepsTheRatioOfItsNeighbours) {
  const CostTable table = frozen();
  CostRefit refit(table);
  for (int i = 0; i < 16; ++i) {
    refit.add_cpu({2}, 1.5 * table.cpu_us(2));
    refit.add_cpu({32}, 2.5 * table.cpu_us(32));
  }
  for (int i = 0; i < 15; ++i) refit.add_cpu({8}, 9 * table.cpu_us(8));
  const CostTable fitted = refit.refitted();
  const auto ratio = [&](std::size_t i) { return fitted.cpu[i].us / table.cpu[i].us; };
  EXPECT_NEAR(ratio(0), 1.5, 1e-9);
  EXPECT_NEAR(ratio(1), 1.5, 1e-9);
  EXPECT_NEAR(ratio(3), 2.0, 1e-9);  // halfway between 2 and 32 tokens, not its own few
  EXPECT_NEAR(ratio(7), 2.5, 1e-9);
}

TEST(CostRefit, WithoutEnoughObservationsNothingChanges) {
  CostRefit refit(frozen());
  for (int i = 0; i < 15; ++i) refit.add_cpu({4}, 1);
  refit.add_cpu({}, 5);
  refit.add_cpu({4}, 0);
  refit.add_cpu({4}, -1);
  refit.add_cpu({4}, std::nan(""));
  EXPECT_EQ(refit.observations(), 15);
  EXPECT_EQ(to_json(refit.refitted()), to_json(frozen()));
}

TEST(CostRefit, FitsTheLinkOfARealDevice) {
  CostRefit refit(frozen());
  for (int i = 0; i < 40; ++i) refit.add_upload(1 + i % 3, 2 * frozen().upload_us(1 + i % 3));
  refit.add_upload(0, 7);
  EXPECT_NEAR(refit.refitted().upload_us(5), 2 * frozen().upload_us(5), 1e-9);
  EXPECT_EQ(refit.observations(), 40);
}

TEST(CostRefit, NeverChangesAnEmulatedLane) {
  CostRefit refit(frozen("emulated"));
  for (int i = 0; i < 100; ++i) {
    refit.add_device({1}, 1e4);
    refit.add_upload(1, 1e5);
    refit.add_cpu({1}, 2 * frozen().cpu_us(1));
  }
  const CostTable fitted = refit.refitted();
  EXPECT_EQ(to_json(fitted)["device_us"], to_json(frozen())["device_us"]);
  EXPECT_EQ(fitted.link_gb_s, frozen().link_gb_s);
  EXPECT_EQ(fitted.upload_fixed_us, frozen().upload_fixed_us);
  EXPECT_EQ(fitted.source, "emulated");
  EXPECT_NEAR(fitted.cpu[0].us, 2 * frozen().cpu[0].us, 1e-9);
}

TEST(CostRefit, IsDeterministicAndForgetsTheOldest) {
  CostRefit first(frozen()), second(frozen());
  Machine{[](double) { return 5.0; }, 0.1}.observe(first, 3000);
  Machine{[](double) { return 5.0; }, 0.1}.observe(second, 3000);
  EXPECT_EQ(to_json(first.refitted()), to_json(second.refitted()));
  // What a machine did long ago no longer counts.
  for (int i = 0; i < 5000; ++i) first.add_cpu({1}, 0.5 * frozen().cpu_us(1));
  EXPECT_NEAR(first.refitted().cpu[0].us, 0.5 * frozen().cpu[0].us, 1e-9);
}

TEST(CostRefit, MoreTokensNeverCostLess) {
  std::vector<CostTable::Knot> knots{{1, 5}, {2, 3}, {4, 4}, {8, 10}, {16, 8}, {32, 20}};
  make_monotone(knots);
  const std::vector<double> expected{4, 4, 4, 9, 9, 20};
  for (std::size_t i = 0; i < knots.size(); ++i) EXPECT_DOUBLE_EQ(knots[i].us, expected[i]) << i;
  std::vector<CostTable::Knot> one{{1, 2}};
  make_monotone(one);
  EXPECT_EQ(one[0].us, 2);
}

TEST(CostReport, SumsByTheSizeOfTheBatch) {
  CostReport report;
  report.add(1, 10, 20, true, 4);
  report.add(1, 30, 20, false, 99);
  report.add(2, 1, 1, false, 0);
  report.add(8, 3, 1, false, 0);
  report.add(65, 7, 0, true, 1);
  const nlohmann::ordered_json json = to_json(report);
  ASSERT_EQ(json.size(), 3U);
  EXPECT_EQ(json[0]["tokens"], "1");
  EXPECT_EQ(json[0]["steps"], 2);
  EXPECT_EQ(json[0]["predicted_us_mean"], 20.0);
  EXPECT_EQ(json[0]["actual_us_mean"], 20.0);
  EXPECT_EQ(json[0]["predicted_over_actual"], 1.0);
  EXPECT_EQ(json[0]["decisions"], 1);
  EXPECT_EQ(json[0]["regret_us_mean"], 4.0);
  EXPECT_EQ(json[1]["tokens"], "2-8");
  EXPECT_EQ(json[1]["predicted_over_actual"], 2.0);
  EXPECT_EQ(json[2]["tokens"], "65-");
  EXPECT_TRUE(json[2]["predicted_over_actual"].is_null());
}

}  // namespace
}  // namespace haq::experts
