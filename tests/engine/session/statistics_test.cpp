// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/session/statistics.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <random>

namespace haq::session {
namespace {

TEST(Statistics, MeanAndSampleDeviation) {
  const MeanStd found = mean_std(std::array<double, 4>{2, 4, 4, 6});
  EXPECT_DOUBLE_EQ(found.mean, 4);
  EXPECT_NEAR(found.std, std::sqrt(8.0 / 3.0), 1e-12);
  EXPECT_EQ(mean_std(std::array<double, 1>{5}).std, 0);
}

TEST(Statistics, StudentQuantilesMatchTheTables) {
  EXPECT_NEAR(student_t_975(1), 12.706, 1e-3);
  EXPECT_NEAR(student_t_975(11), 2.2010, 5e-4);
  EXPECT_NEAR(student_t_975(19), 2.0930, 5e-4);
  EXPECT_NEAR(student_t_975(78), 1.9908, 5e-4);
  EXPECT_NEAR(student_t_975(1000000), 1.95997, 5e-5);
}

TEST(ClusteredMean, SingleValuesGiveTheUsualInterval) {
  ClusteredMean mean;
  for (const double value : {1.0, 2.0, 3.0, 4.0}) mean.add(value);
  mean.end_window();
  EXPECT_EQ(mean.cluster_name(), "id");
  EXPECT_EQ(mean.cluster_count(), 4);
  const auto interval = mean.interval95();
  ASSERT_TRUE(interval.has_value());
  const double half = 3.1824 * std::sqrt(5.0 / 3.0) / 2;
  EXPECT_NEAR(interval->low, 2.5 - half, 1e-3);
  EXPECT_NEAR(interval->high, 2.5 + half, 1e-3);
}

TEST(ClusteredMean, NoIntervalFromOneValue) {
  ClusteredMean mean;
  mean.add(1);
  mean.end_window();
  EXPECT_FALSE(mean.interval95().has_value());
}

TEST(ClusteredMean, ChoosesTheCoarsestClustersThatAreEnough) {
  const auto with = [](int windows, int length) {
    ClusteredMean mean;
    for (int w = 0; w < windows; ++w) {
      for (int i = 0; i < length; ++i) mean.add(i);
      mean.end_window();
    }
    return mean;
  };
  EXPECT_EQ(with(20, 5).cluster_name(), "window");
  EXPECT_EQ(with(20, 5).cluster_count(), 20);
  EXPECT_EQ(with(10, 100).cluster_name(), "block of 64 ids");
  EXPECT_EQ(with(10, 100).cluster_count(), 20);
  EXPECT_EQ(with(3, 64).cluster_name(), "id");
}

TEST(ClusteredMean, CoversTheTruthAboutAsOftenAsItSays) {
  // Values share a random offset per window, as losses of one passage do.
  std::mt19937 random(11);
  std::normal_distribution<double> normal;
  int covered = 0;
  constexpr int kRounds = 1000;
  for (int round = 0; round < kRounds; ++round) {
    ClusteredMean mean;
    for (int w = 0; w < 30; ++w) {
      const double offset = normal(random);
      for (int i = 0; i < 10 + w % 7; ++i) mean.add(3 + offset + normal(random));
      mean.end_window();
    }
    const Interval interval = mean.interval95().value();
    if (interval.low <= 3 && 3 <= interval.high) ++covered;
  }
  // 95 % with a binomial standard error of 0.7 %; five of them.
  EXPECT_GT(covered, 900);
  EXPECT_LT(covered, 990);
}

}  // namespace
}  // namespace haq::session
