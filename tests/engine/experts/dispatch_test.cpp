// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/experts/dispatch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "engine/base/error.h"

namespace haq::experts {
namespace {

using testing::ElementsAre;

/// A step with what a residency would say of it.
struct Case {
  std::vector<std::uint16_t> experts, counts;
  std::vector<std::uint8_t> resident, admitted;
  int uploads = 0, tokens = 1;
  CostTable costs;

  Step step() const { return {0, tokens, experts, counts}; }
  Dispatch run(MissMode mode, bool device = true) const {
    Dispatch result;
    dispatch(step(), resident, admitted, uploads, costs, mode, device, result);
    return result;
  }
  double step_us(std::span<const Lane> lanes) const {
    double cpu = 0, other = 0;
    int copies = uploads;
    for (std::size_t i = 0; i < lanes.size(); ++i) {
      if (lanes[i] == Lane::kCpu) {
        cpu += costs.cpu_us(counts[i]);
      } else {
        other += costs.device_us(counts[i]);
      }
      copies += lanes[i] == Lane::kStreamed;
    }
    return std::max(cpu, costs.upload_us(copies) + other);
  }
  /// The shortest step over all choices for the misses.
  double optimum() const {
    double best = 1e300;
    std::vector<Lane> lanes(experts.size());
    for (unsigned bits = 0; bits < 1U << experts.size(); ++bits) {
      bool allowed = true;
      for (std::size_t i = 0; i < lanes.size(); ++i) {
        const bool cpu = (bits >> i & 1U) != 0;
        allowed = allowed && !(cpu && resident[i]);
        lanes[i] = cpu           ? Lane::kCpu
                   : resident[i] ? Lane::kResident
                   : admitted[i] ? Lane::kAdmitted
                                 : Lane::kStreamed;
      }
      if (allowed) best = std::min(best, step_us(lanes));
    }
    return best;
  }
};

/// `linear`: costs a + b * tokens; else rising knots as measured tables have.
Case random_case(std::mt19937& random, bool single) {
  const auto uniform = [&](double low, double high) {
    return std::uniform_real_distribution(low, high)(random);
  };
  Case c;
  const int count = std::uniform_int_distribution(1, 9)(random);
  for (int i = 0; i < count; ++i) {
    c.experts.push_back(static_cast<std::uint16_t>(i));
    const double tokens = single ? 1 : std::exp2(uniform(0, 9));
    c.counts.push_back(static_cast<std::uint16_t>(tokens));
    c.tokens = std::max<int>(c.tokens, c.counts.back());
    const double state = uniform(0, 1);
    c.resident.push_back(state < 0.3);
    c.admitted.push_back(state > 0.8);
    c.uploads += c.admitted.back();
  }
  c.uploads += uniform(0, 1) < 0.2;  // a prefetch
  if (!single) ++c.tokens;
  double cpu = uniform(20, 200), device = uniform(1, 60);
  for (const double tokens : {1, 4, 16, 64, 512}) {
    c.costs.cpu.push_back({tokens, cpu});
    c.costs.device.push_back({tokens, device});
    cpu *= uniform(1, 4);
    device *= uniform(1, 2);
  }
  c.costs.upload_fixed_us = uniform(0, 20);
  c.costs.link_gb_s = uniform(4, 60);
  c.costs.expert_bytes = uniform(1e5, 1e7);
  return c;
}

TEST(Dispatch, KeepsResidentsOnTheDeviceAndObeysTheMode) {
  std::mt19937 random(1);
  for (int round = 0; round < 2000; ++round) {
    const Case c = random_case(random, round % 2 == 0);
    for (const MissMode mode : {MissMode::kCpu, MissMode::kUpload, MissMode::kAuto}) {
      const Dispatch result = c.run(mode);
      ASSERT_EQ(result.lanes.size(), c.experts.size());
      int streamed = 0;
      for (std::size_t i = 0; i < c.experts.size(); ++i) {
        const Lane lane = result.lanes[i];
        EXPECT_EQ(lane == Lane::kResident, c.resident[i] != 0);
        if (lane == Lane::kAdmitted) {
          EXPECT_TRUE(c.admitted[i]);
        }
        if (lane == Lane::kStreamed) {
          EXPECT_FALSE(c.admitted[i]);
        }
        if (mode == MissMode::kCpu && !c.resident[i]) {
          EXPECT_EQ(lane, Lane::kCpu);
        }
        if (mode == MissMode::kUpload) {
          EXPECT_NE(lane, Lane::kCpu);
        }
        streamed += lane == Lane::kStreamed;
      }
      EXPECT_EQ(result.streamed, streamed);
      EXPECT_NEAR(result.step_us(), c.step_us(result.lanes), 1e-9 * result.step_us());
      const Dispatch again = c.run(mode);
      EXPECT_EQ(result.lanes, again.lanes);
      EXPECT_EQ(result.step_us(), again.step_us());
    }
  }
}

TEST(Dispatch, AutoIsNoLongerThanEitherSideAndNearTheOptimum) {
  std::mt19937 random(2);
  double worst = 1, sum = 0;
  int cases = 0, exact = 0;
  for (int round = 0; round < 4000; ++round) {
    const Case c = random_case(random, round % 2 == 0);
    const double chosen = c.run(MissMode::kAuto).step_us();
    EXPECT_LE(chosen, c.run(MissMode::kCpu).step_us() * (1 + 1e-12));
    EXPECT_LE(chosen, c.run(MissMode::kUpload).step_us() * (1 + 1e-12));
    const double best = c.optimum();
    EXPECT_GE(chosen, best * (1 - 1e-12));
    worst = std::max(worst, chosen / best);
    sum += chosen / best;
    ++cases;
    exact += chosen <= best * (1 + 1e-12);
  }
  RecordProperty("worst_factor", std::to_string(worst));
  RecordProperty("mean_factor", std::to_string(sum / cases));
  RecordProperty("exact_share", std::to_string(static_cast<double>(exact) / cases));
  EXPECT_LE(worst, 1.5);
  EXPECT_LE(sum / cases, 1.02);
}

TEST(Dispatch, OneTokenStepsAreOptimal) {
  std::mt19937 random(3);
  for (int round = 0; round < 2000; ++round) {
    const Case c = random_case(random, true);
    EXPECT_NEAR(c.run(MissMode::kAuto).step_us(), c.optimum(), 1e-9 * c.optimum());
  }
}

TEST(Dispatch, WorkedExample) {
  // One hit, one admitted miss, two others; an expert takes the CPU 100, the device 10, a copy 60.
  Case c;
  c.experts = {3, 1, 4, 2};
  c.counts = {1, 1, 1, 1};
  c.resident = {1, 0, 0, 0};
  c.admitted = {0, 0, 1, 0};
  c.uploads = 1;
  c.costs = CostTable::stated(100, 10, 25, 1.5e6);
  EXPECT_THAT(c.run(MissMode::kCpu).lanes,
              ElementsAre(Lane::kResident, Lane::kCpu, Lane::kCpu, Lane::kCpu));
  EXPECT_DOUBLE_EQ(c.run(MissMode::kCpu).step_us(), 300);
  EXPECT_THAT(c.run(MissMode::kUpload).lanes,
              ElementsAre(Lane::kResident, Lane::kStreamed, Lane::kAdmitted, Lane::kStreamed));
  EXPECT_DOUBLE_EQ(c.run(MissMode::kUpload).step_us(), 3 * 60 + 4 * 10);
  // The admitted one costs the device 10 more; one more copy ends at 60 + 60 + 30 = 150 > 100.
  const Dispatch best = c.run(MissMode::kAuto);
  EXPECT_THAT(best.lanes,
              ElementsAre(Lane::kResident, Lane::kStreamed, Lane::kAdmitted, Lane::kCpu));
  EXPECT_DOUBLE_EQ(best.cpu_us, 100);
  EXPECT_DOUBLE_EQ(best.link_us, 120);
  EXPECT_DOUBLE_EQ(best.device_us, 30);
  EXPECT_DOUBLE_EQ(best.step_us(), 150);
}

TEST(Dispatch, WithoutADeviceEverythingIsOnTheCpu) {
  std::mt19937 random(4);
  for (const MissMode mode : {MissMode::kCpu, MissMode::kUpload, MissMode::kAuto}) {
    Case c = random_case(random, false);
    c.uploads = 0;
    const Dispatch result = c.run(mode, false);
    EXPECT_THAT(result.lanes, testing::Each(Lane::kCpu));
    EXPECT_EQ(result.device_us, 0);
    EXPECT_EQ(result.link_us, 0);
  }
}

TEST(Dispatch, HindsightFollowsTheScaledTimes) {
  Case c;
  c.experts = {0, 1};
  c.counts = {1, 1};
  c.resident = c.admitted = {0, 0};
  c.costs = CostTable::stated(100, 10, 25, 2.5e6);  // a copy takes 100
  EXPECT_THAT(c.run(MissMode::kAuto).lanes, ElementsAre(Lane::kStreamed, Lane::kCpu));
  Dispatch result;
  dispatch(c.step(), c.resident, c.admitted, 0, c.costs, MissMode::kAuto, true, result, {3, 1});
  EXPECT_THAT(result.lanes, ElementsAre(Lane::kStreamed, Lane::kStreamed));
  EXPECT_DOUBLE_EQ(result.step_us(), 220);
  dispatch(c.step(), c.resident, c.admitted, 0, c.costs, MissMode::kAuto, true, result, {1, 3});
  EXPECT_THAT(result.lanes, ElementsAre(Lane::kCpu, Lane::kCpu));
}

TEST(MissModes, AreReadAndWritten) {
  for (const char* word : {"cpu", "upload", "auto"}) {
    EXPECT_STREQ(to_string(parse_miss_mode(word).value()), word);
  }
  EXPECT_FALSE(parse_miss_mode("gpu"));
}

}  // namespace
}  // namespace haq::experts
