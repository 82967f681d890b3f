// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/quant/folder/storage.h"

#include <gtest/gtest.h>

#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "engine/base/error.h"
#include "tests/support/golden.h"

namespace haq::quant {
namespace {

using model::Role;

std::uint16_t word(const OutputTensor& tensor, std::size_t index) {
  std::uint16_t bits = 0;
  std::memcpy(&bits, tensor.bytes.data() + 2 * index, sizeof bits);
  return bits;
}

void expect_numeric(DType type, float value, const std::string& part) {
  const std::vector<float> values = {1, 2, value};
  try {
    make_output_tensor("a.weight", type, {3}, values);
    FAIL() << "accepted " << value;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kNumeric);
    const std::string message = error.what();
    EXPECT_NE(message.find("\"a.weight\": element 2"), std::string::npos) << message;
    EXPECT_NE(message.find(part), std::string::npos) << message;
  }
}

TEST(Storage, NamesOfModulesAndBareVectors) {
  const auto model = model::Checkpoint::open(test::golden_model_dir("gpt_oss"));
  EXPECT_EQ(weight_tensor_name(*model, {Role::kSinks, 1, -1}), "model.layers.1.self_attn.sinks");
  EXPECT_EQ(weight_tensor_name(*model, {Role::kUp, 1, 3}),
            "model.layers.1.mlp.experts.3.up_proj.weight");
  EXPECT_EQ(scale_tensor_name(*model, {Role::kUp, 1, 3}),
            "model.layers.1.mlp.experts.3.up_proj.weight_scale");
  EXPECT_EQ(bias_tensor_name(*model, {Role::kRouter, 0, -1}), "model.layers.0.mlp.router.bias");
}

TEST(Storage, RoundsToTheTypeAndKeepsFloat32) {
  const std::vector<float> source = {1.0F, 1.00390625F, -3.1415927F, 0};
  std::vector<float> values = source;
  round_to_storage(values, DType::kF32, "a");
  EXPECT_EQ(values, source);
  round_to_storage(values, DType::kBF16, "a");
  EXPECT_EQ(values, (std::vector<float>{1.0F, 1.0F, -3.140625F, 0}));
  values = source;
  round_to_storage(values, DType::kF16, "a");
  EXPECT_EQ(values, (std::vector<float>{1.0F, 1.00390625F, -3.140625F, 0}));
}

TEST(Storage, TensorsHoldLittleEndianWords) {
  const std::vector<float> values = {1.0F, -2.0F, 0.5F, 65504.0F};
  const OutputTensor bf16 = make_output_tensor("a", DType::kBF16, {2, 2}, values);
  EXPECT_EQ(bf16.bytes.size(), 8U);
  EXPECT_EQ(bf16.shape, (std::vector<std::int64_t>{2, 2}));
  EXPECT_EQ(word(bf16, 0), 0x3f80);
  EXPECT_EQ(word(bf16, 1), 0xc000);
  const OutputTensor half = make_output_tensor("a", DType::kF16, {4}, values);
  EXPECT_EQ(word(half, 2), 0x3800);
  EXPECT_EQ(word(half, 3), 0x7bff);
  const OutputTensor single = make_output_tensor("a", DType::kF32, {4}, values);
  EXPECT_EQ(std::memcmp(single.bytes.data(), values.data(), 16), 0);
}

TEST(Storage, RefusesWhatTheTypeCannotHold) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  expect_numeric(DType::kF32, kInfinity, "not a finite number");
  expect_numeric(DType::kBF16, std::numeric_limits<float>::quiet_NaN(), "not a finite number");
  expect_numeric(DType::kF16, 70000.0F, "beyond the range of F16");
  expect_numeric(DType::kBF16, std::numeric_limits<float>::max(), "beyond the range of BF16");
}

}  // namespace
}  // namespace haq::quant
