// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/nn/rope.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "engine/base/error.h"
#include "engine/device/host/host_device.h"

namespace haq::nn {
namespace {

using model::RopeConfig;
using model::RopeScaling;

constexpr double kRounding = 1e-7;  // of one float32

void expect_frequency(const Rotation& rotation, std::size_t pair, double expected) {
  EXPECT_NEAR(rotation.frequencies.at(pair), expected, expected * kRounding) << "pair " << pair;
}

RopeConfig plain(int dim, float theta) {
  RopeConfig rope;
  rope.dim = dim;
  rope.theta = theta;
  return rope;
}

// Expected values of this file were computed in double straight from the published formulas.

TEST(Rotation, PlainAndLinear) {
  RopeConfig rope = plain(8, 10000.0F);
  const Rotation base = make_rotation(rope, 2048, 10);
  ASSERT_EQ(base.frequencies.size(), 4U);
  for (std::size_t pair = 0; pair < 4; ++pair) {
    expect_frequency(base, pair, std::pow(10.0, -static_cast<double>(pair)));
  }
  EXPECT_EQ(base.magnitude, 1.0);
  rope.scaling = RopeScaling::kLinear;
  rope.factor = 4;
  expect_frequency(make_rotation(rope, 2048, 10), 2, 0.0025);
}

TEST(Rotation, Llama3BlendsBetweenTheTwoWavelengths) {
  RopeConfig rope = plain(128, 500000.0F);
  rope.scaling = RopeScaling::kLlama3;
  rope.factor = 8;
  rope.low_freq_factor = 1;
  rope.high_freq_factor = 4;
  rope.original_max_positions = 8192;
  const Rotation rotation = make_rotation(rope, 131072, 10);
  expect_frequency(rotation, 0, 1.0);
  expect_frequency(rotation, 16, 0.03760603093086393);
  expect_frequency(rotation, 28, 0.0032114459947525913);
  expect_frequency(rotation, 29, 0.002166570763503359);
  expect_frequency(rotation, 31, 0.0008567514129196321);
  expect_frequency(rotation, 35, 9.556212353964683e-05);
  expect_frequency(rotation, 36, 7.78465527393245e-05);
  expect_frequency(rotation, 63, 3.068925988914511e-07);
  EXPECT_EQ(rotation.magnitude, 1.0);
}

RopeConfig yarn() {
  RopeConfig rope = plain(64, 150000.0F);
  rope.scaling = RopeScaling::kYarn;
  rope.factor = 32;
  rope.original_max_positions = 4096;
  return rope;
}

TEST(Rotation, YarnWithWholeAndFractionalRampBounds) {
  RopeConfig rope = yarn();
  const Rotation whole = make_rotation(rope, 131072, 10);
  expect_frequency(whole, 8, 0.050813274815461475);
  expect_frequency(whole, 9, 0.031620752275346484);
  expect_frequency(whole, 15, 0.001206130969041873);
  expect_frequency(whole, 20, 1.818833668168956e-05);
  rope.truncate = false;
  const Rotation fractional = make_rotation(rope, 131072, 10);
  expect_frequency(fractional, 8, 0.050813274815461475);
  expect_frequency(fractional, 9, 0.03170569618466377);
  expect_frequency(fractional, 15, 0.0010526021013863359);
  expect_frequency(fractional, 20, 1.818833668168956e-05);
}

TEST(Rotation, YarnMagnitude) {
  RopeConfig rope = yarn();
  EXPECT_NEAR(make_rotation(rope, 131072, 10).magnitude, 1.3465735902799727, 1e-12);
  rope.mscale = 0.707;
  EXPECT_NEAR(make_rotation(rope, 131072, 10).magnitude, 1.3465735902799727, 1e-12)
      << "one mscale alone does not count";
  rope.mscale_all_dim = 0.707;
  EXPECT_NEAR(make_rotation(rope, 131072, 10).magnitude, 1.0, 1e-12);
  rope.mscale_all_dim = 1;
  EXPECT_NEAR(make_rotation(rope, 131072, 10).magnitude,
              (0.0707 * std::log(32.0) + 1) / 1.3465735902799727, 1e-12);
  rope.attention_factor = 1.25;
  EXPECT_EQ(make_rotation(rope, 131072, 10).magnitude, 1.25);
}

TEST(Rotation, LongropeSwitchesFactorsBeyondTheOriginalContext) {
  RopeConfig rope = plain(4, 10000.0F);
  rope.scaling = RopeScaling::kLongRope;
  rope.original_max_positions = 4096;
  rope.short_factor = {1, 2};
  rope.long_factor = {4, 8};
  const Rotation at_limit = make_rotation(rope, 131072, 4096);
  const Rotation beyond = make_rotation(rope, 131072, 4097);
  expect_frequency(at_limit, 1, 0.005);
  expect_frequency(beyond, 0, 0.25);
  expect_frequency(beyond, 1, 0.00125);
  EXPECT_NEAR(at_limit.magnitude, 1.1902380714238083, 1e-12);
  EXPECT_EQ(at_limit.magnitude, beyond.magnitude);
}

TEST(Rotation, LongropeWithTwoMagnitudesKeepsTheShortFactors) {
  RopeConfig rope = plain(4, 10000.0F);
  rope.scaling = RopeScaling::kLongRope;
  rope.original_max_positions = 64;
  rope.short_factor = {1, 2};
  rope.long_factor = {4, 8};
  rope.short_mscale = 1.1;
  rope.long_mscale = 1.3;
  EXPECT_EQ(make_rotation(rope, 256, 64).magnitude, 1.1);
  EXPECT_EQ(make_rotation(rope, 256, 65).magnitude, 1.3);
  EXPECT_EQ(make_rotation(rope, 256, 64).frequencies, make_rotation(rope, 256, 65).frequencies);
}

TEST(Rotation, RefusesALongropeListOfTheWrongLength) {
  RopeConfig rope = plain(8, 10000.0F);
  rope.scaling = RopeScaling::kLongRope;
  rope.original_max_positions = 64;
  rope.short_factor = {1, 2};
  try {
    make_rotation(rope, 256, 10);
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    EXPECT_STREQ(error.what(), "rope_scaling.short_factor has 2 values, expected 4");
  }
}

TEST(RotaryTables, EntriesDependOnThePositionAlone) {
  RopeConfig rope = plain(4, 10000.0F);
  rope.interleaved = true;
  const std::shared_ptr<device::Device> device = device::make_host_device({});
  RotaryTables tables(device, rope, 5000);
  tables.reserve(10);
  const device::RotaryTable small = tables.table(10);
  EXPECT_EQ(small.dim, 4);
  EXPECT_TRUE(small.interleaved);
  ASSERT_GE(small.length, 10);
  const std::vector<float> before(small.cos, small.cos + 20);
  tables.reserve(4000);
  const device::RotaryTable large = tables.table(4000);
  ASSERT_GE(large.length, 4000);
  EXPECT_LE(large.length, 5000);
  EXPECT_EQ(before, std::vector<float>(large.cos, large.cos + 20));
  const float slow = make_rotation(rope, 5000, 1).frequencies[1];
  EXPECT_EQ(large.sin[2 * 3999 + 1], static_cast<float>(std::sin(3999.0 * slow)));
}

TEST(RotaryTables, AreEmptyForLearnedPositions) {
  const std::shared_ptr<device::Device> device = device::make_host_device({});
  RotaryTables tables(device, plain(0, 10000.0F), 100);
  tables.reserve(50);
  EXPECT_EQ(tables.table(50).dim, 0);
}

}  // namespace
}  // namespace haq::nn
