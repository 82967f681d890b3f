// SPDX-License-Identifier: GPL-3.0-or-later
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "engine/base/error.h"
#include "engine/model/checkpoint.h"

namespace haq::model {
namespace {

std::vector<std::uint8_t> bytes_of(const LinearWeights& weights) {
  const auto* begin = reinterpret_cast<const std::uint8_t*>(weights.weight.data);
  return {begin, begin + weights.weight.bytes()};
}

std::vector<float> values_of(const LinearWeights& weights) {
  std::vector<float> values;
  for (std::int64_t i = 0; i < weights.out() * weights.in(); ++i) {
    if (weights.weight.dtype == DType::kI8) {
      const auto value = static_cast<std::int8_t>(weights.weight.data[i]);
      values.push_back(static_cast<float>(value) *
                       weights.scale[static_cast<std::size_t>(i / weights.in())]);
    } else {
      std::uint16_t bits = 0;
      std::memcpy(&bits, weights.weight.data + 2 * i, 2);
      values.push_back(to_float(BFloat16{bits}));
    }
  }
  return values;
}

TEST(Synthetic, HasThePublishedSizes) {
  struct Expected {
    const char* shape;
    double total, active;  ///< billions, as published
    int layers, experts, top_k;
  };
  for (const Expected& e : {Expected{"olmoe-1b-7b", 6.92, 1.28, 16, 64, 8},
                            Expected{"mixtral-8x7b", 46.7, 12.9, 32, 8, 2},
                            Expected{"qwen3-30b-a3b", 30.5, 3.35, 48, 128, 8}}) {
    SCOPED_TRACE(e.shape);
    const auto model = Checkpoint::synthetic(e.shape, false);
    const auto parameters = model->parameters();
    EXPECT_NEAR(static_cast<double>(parameters.total) * 1e-9, e.total, e.total * 0.005);
    EXPECT_NEAR(static_cast<double>(parameters.active) * 1e-9, e.active, e.active * 0.005);
    EXPECT_EQ(model->config().layer_count(), e.layers);
    EXPECT_EQ(model->config().experts, e.experts);
    EXPECT_EQ(model->config().top_k, e.top_k);
    EXPECT_EQ(parameters.bytes16, 2 * parameters.total);
    EXPECT_LT(parameters.bytes8, parameters.bytes16 * 0.6);
    EXPECT_TRUE(model->is_synthetic());
  }
}

TEST(Synthetic, IsDeterministicAndDiffersByPlaceAndSeed) {
  const auto model = Checkpoint::synthetic("olmoe-1b-7b:layers=2", false, 7);
  const auto again = Checkpoint::synthetic("olmoe-1b-7b:layers=2", false, 7);
  const auto other = Checkpoint::synthetic("olmoe-1b-7b:layers=2", false, 8);
  EXPECT_EQ(model->config().layer_count(), 2);
  const auto weights = bytes_of(model->linear(Role::kUp, 1, 63));
  EXPECT_EQ(weights, bytes_of(again->linear(Role::kUp, 1, 63)));
  EXPECT_NE(weights, bytes_of(other->linear(Role::kUp, 1, 63)));
  EXPECT_NE(weights, bytes_of(model->linear(Role::kUp, 1, 62)));
  EXPECT_NE(weights, bytes_of(model->linear(Role::kUp, 0, 63)));
  EXPECT_NE(weights, bytes_of(model->linear(Role::kGate, 1, 63)));
  EXPECT_EQ(model->fingerprint(), again->fingerprint());
  EXPECT_NE(model->fingerprint(), other->fingerprint());
  const auto int8 = Checkpoint::synthetic("olmoe-1b-7b:layers=2", true, 7);
  EXPECT_NE(int8->fingerprint(), model->fingerprint());
  EXPECT_EQ(int8->base_fingerprint(), model->fingerprint());
}

TEST(Synthetic, EachExpertHasMemoryOfItsOwn) {
  const auto model = Checkpoint::synthetic("olmoe-1b-7b:layers=1", true);
  const auto a = model->linear(Role::kDown, 0, 0);
  const auto b = model->linear(Role::kDown, 0, 1);
  EXPECT_NE(a.weight.data, b.weight.data);
  EXPECT_NE(a.weight.owner, b.weight.owner);
}

TEST(Synthetic, ValuesKeepTheMeanSquare) {
  for (const bool quantized : {false, true}) {
    const auto model = Checkpoint::synthetic("olmoe-1b-7b:layers=1", quantized);
    const auto weights = model->linear(Role::kGate, 0, 5);
    EXPECT_EQ(weights.weight.dtype, quantized ? DType::kI8 : DType::kBF16);
    EXPECT_EQ(weights.scale.size(), quantized ? 1024U : 0U);
    double sum = 0;
    double square = 0;
    const auto values = values_of(weights);
    for (const float value : values) {
      ASSERT_TRUE(std::isfinite(value));
      sum += value;
      square += double{value} * value;
    }
    const double n = static_cast<double>(values.size());
    const double expected = 1 / std::sqrt(2048.0);
    EXPECT_NEAR(sum / n, 0, expected * 0.01);
    EXPECT_GT(std::sqrt(square / n), expected / std::sqrt(2.0));
    EXPECT_LT(std::sqrt(square / n), expected * std::sqrt(2.0));
    if (quantized) {
      EXPECT_THAT(bytes_of(weights), testing::Not(testing::Contains(0x80)));
    }
  }
}

TEST(Synthetic, RoutersAndHeadsStay16Bit) {
  const auto model = Checkpoint::synthetic("qwen3-30b-a3b:layers=1", true);
  EXPECT_EQ(model->linear(Role::kRouter, 0).weight.dtype, DType::kBF16);
  EXPECT_EQ(model->linear(Role::kQ, 0).weight.dtype, DType::kI8);
  EXPECT_EQ(model->vector(Role::kQNorm, 0), std::vector<float>(128, 1.0F));
  EXPECT_EQ(model->precision(), "w8a8");
  EXPECT_EQ(model->module_name(Role::kUp, 0, 3), "model.layers.0.mlp.experts.3.up_proj");
  EXPECT_EQ(model->quantized_name(Role::kUp, 0, 3), "model.layers.0.mlp.experts.3.up_proj");
}

TEST(Synthetic, RefusesUnknownShapes) {
  for (const char* shape :
       {"", "gpt-5", "olmoe-1b-7b:", "olmoe-1b-7b:layers=", "olmoe-1b-7b:layers=0",
        "olmoe-1b-7b:layers=17", "olmoe-1b-7b:layers=2x", "olmoe-1b-7b:depth=2",
        "olmoe-1b-7b:layers=-1"}) {
    SCOPED_TRACE(shape);
    try {
      Checkpoint::synthetic(shape, false);
      FAIL() << "accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    }
  }
}

}  // namespace
}  // namespace haq::model
