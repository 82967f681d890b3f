// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/quant/transform/transformed_checkpoint.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "engine/base/error.h"
#include "engine/model/convert.h"
#include "engine/model/modules.h"
#include "engine/quant/folder/storage.h"
#include "tests/engine/quant/transform_fixture.h"
#include "tests/support/golden.h"

namespace haq::quant {
namespace {

using model::Role;
using test::Float32Model;
using test::Pass;
using CheckpointPtr = std::shared_ptr<const model::Checkpoint>;

/// Float32 models differ by the order of float sums alone.
constexpr double kTight = 1e-5;

std::shared_ptr<const Rotation> rotation_for(const CheckpointPtr& source, std::uint64_t seed) {
  return std::make_shared<const Rotation>(source->config(), seed);
}

std::shared_ptr<TransformedCheckpoint> transformed(const CheckpointPtr& source,
                                                   std::shared_ptr<const Rotation> rotation = {}) {
  return std::make_shared<TransformedCheckpoint>(source, std::move(rotation));
}

void expect_same_network(const CheckpointPtr& changed, const Pass& expected,
                         const std::vector<std::int32_t>& ids) {
  const Pass pass = test::run_float32(changed, ids);
  EXPECT_LT(test::relative_deviation(pass.logits, expected.logits), kTight);
  EXPECT_EQ(pass.experts, expected.experts);
}

/// Every way to change the network without changing what it computes, on float32 weights.
void expect_exact_transformations(const CheckpointPtr& source,
                                  const std::vector<std::int32_t>& ids) {
  const Pass expected = test::run_float32(source, ids);
  const auto smoothed = transformed(source);
  EXPECT_GT(test::fold_random(*smoothed, 7), 0);
  expect_same_network(smoothed, expected, ids);
  if (Rotation::obstacle(source->config())) return;
  for (const std::uint64_t seed : {1U, 2U}) {
    SCOPED_TRACE(seed);
    const auto rotated = transformed(source, rotation_for(source, seed));
    expect_same_network(rotated, expected, ids);
    test::fold_random(*rotated, seed);
    expect_same_network(rotated, expected, ids);
  }
}

class TransformedModel : public testing::TestWithParam<std::string> {
 protected:
  TransformedModel() : ids(test::golden_case(GetParam(), "t33").ids) {}
  static CheckpointPtr stored() {
    return model::Checkpoint::open(test::golden_model_dir(GetParam()));
  }
  std::vector<std::int32_t> ids;
};

TEST_P(TransformedModel, NothingAppliedGivesTheSource) {
  const CheckpointPtr source = stored();
  const auto same = transformed(source);
  model::for_each_module(source->config(), [&](const model::ModuleShape& shape) {
    const ModuleId id{shape.role, shape.layer, shape.expert};
    SCOPED_TRACE(source->module_name(id.role, id.layer, id.expert));
    EXPECT_TRUE(same->has(id.role, id.layer, id.expert));
    EXPECT_EQ(same->module_name(id.role, id.layer, id.expert),
              source->module_name(id.role, id.layer, id.expert));
    EXPECT_EQ(same->quantized_name(id.role, id.layer, id.expert),
              source->quantized_name(id.role, id.layer, id.expert));
    if (shape.is_vector()) {
      EXPECT_EQ(same->vector(id.role, id.layer), source->vector(id.role, id.layer));
      EXPECT_EQ(same->norm_bias(id.role, id.layer), source->norm_bias(id.role, id.layer));
      return;
    }
    const LinearWeights expected = source->linear(id.role, id.layer, id.expert, DType::kF32);
    const LinearWeights found = same->linear(id.role, id.layer, id.expert, DType::kBF16);
    const auto values =
        model::widen({expected.weight.data, expected.weight.bytes()}, expected.weight.dtype);
    EXPECT_EQ(found.weight.dtype, DType::kF32);
    EXPECT_EQ(model::widen({found.weight.data, found.weight.bytes()}, DType::kF32), values);
    EXPECT_EQ(found.bias, expected.bias);
    EXPECT_EQ(same->matrix(id).values, values);
  });
  EXPECT_EQ(same->precision(), source->precision());
  EXPECT_EQ(same->config().tied_head, source->config().tied_head);
}

TEST_P(TransformedModel, SmoothingAndRotationKeepFloat32Models) {
  const Float32Model wide(GetParam());
  expect_exact_transformations(wide.checkpoint(), ids);
}

TEST_P(TransformedModel, StoredTypesChangeLittle) {
  const CheckpointPtr source = stored();
  const Pass expected = test::run_float32(source, ids);
  const bool rotatable = !Rotation::obstacle(source->config());
  for (const bool rotate : {false, true}) {
    if (rotate && !rotatable) continue;
    const auto changed = transformed(source, rotate ? rotation_for(source, 1) : nullptr);
    test::fold_random(*changed, 7);
    const Pass pass = test::run_float32(changed, ids);
    // Rounded routers may choose otherwise where two experts are nearly equal.
    std::size_t choices = 0;
    std::size_t other = 0;
    for (const auto& [layer, experts] : expected.experts) {
      for (std::size_t i = 0; i < experts.size(); ++i) {
        ++choices;
        other += pass.experts.at(layer)[i] != experts[i] ? 1 : 0;
      }
    }
    EXPECT_LE(other, choices / 20);
    if (other == 0) {
      EXPECT_LT(test::relative_deviation(pass.logits, expected.logits), 1e-2);
    }
  }
}

TEST_P(TransformedModel, WhatStays16BitFitsItsType) {
  const CheckpointPtr source = stored();
  const bool rotatable = !Rotation::obstacle(source->config());
  const auto changed = transformed(source, rotatable ? rotation_for(source, 3) : nullptr);
  test::fold_random(*changed, 8);
  const auto expect_fits = [&](const std::vector<float>& values, const std::string& name) {
    std::vector<float> rounded = values;
    round_to_storage(rounded, changed->storage_type(), name);
    EXPECT_EQ(rounded, values) << name;
  };
  model::for_each_module(changed->config(), [&](const model::ModuleShape& shape) {
    const std::string name = source->module_name(shape.role, shape.layer, shape.expert);
    if (shape.is_vector()) {
      expect_fits(changed->vector(shape.role, shape.layer), name);
      expect_fits(changed->norm_bias(shape.role, shape.layer), name);
      return;
    }
    const ModuleId id{shape.role, shape.layer, shape.expert};
    if (!model::is_quantizable(shape.role)) expect_fits(changed->matrix(id).values, name);
    expect_fits(changed->linear(id.role, id.layer, id.expert, DType::kF32).bias, name);
  });
}

INSTANTIATE_TEST_SUITE_P(Models, TransformedModel, testing::ValuesIn(test::golden_models()),
                         [](const auto& subject) { return subject.param; });

TEST(Transformed, LowRankQueries) {
  const test::EditedModel model("deepseek_v2", [](nlohmann::json& config, test::TensorFile& file) {
    config["q_lora_rank"] = 20;
    for (int layer = 0; layer < 3; ++layer) {
      const std::string block = "model.layers." + std::to_string(layer) + ".self_attn.";
      file.erase(block + "q_proj.weight");
      const auto seed = static_cast<std::uint64_t>(layer);
      file[block + "q_a_proj.weight"] = test::random_tensor({20, 64}, seed);
      file[block + "q_a_layernorm.weight"] = test::random_tensor({20}, seed + 10);
      file[block + "q_b_proj.weight"] = test::random_tensor({96, 20}, seed + 20);
    }
  });
  expect_exact_transformations(model.checkpoint(), test::golden_case("deepseek_v2", "t33").ids);
}

TEST(Transformed, WidthThatIsNoPowerOfTwo) {
  const test::EditedModel model("llama", [](nlohmann::json& config, test::TensorFile& file) {
    config["hidden_size"] = 48;
    config["num_attention_heads"] = 3;
    config["num_key_value_heads"] = 1;
    for (auto& [name, tensor] : file) {
      auto shape = tensor.shape;
      for (auto& extent : shape) extent = extent == 64 ? 48 : extent == 32 ? 16 : extent;
      tensor = test::random_tensor(shape, name.size() + static_cast<std::size_t>(shape[0]));
    }
  });
  ASSERT_EQ(model.checkpoint()->config().hidden, 48);
  expect_exact_transformations(model.checkpoint(), test::golden_case("llama", "t33").ids);
}

TEST(Transformed, RoundedNormsAreMadeGoodInTheirReaders) {
  // Nothing but norms is rounded here, so bf16 storage costs nothing at all.
  const auto source = model::Checkpoint::open(test::golden_model_dir("llama"));
  const auto ids = test::golden_case("llama", "t33").ids;
  const auto smoothed = transformed(source);
  test::fold_random(*smoothed, 5);
  EXPECT_NE(smoothed->vector(Role::kInputNorm, 0), source->vector(Role::kInputNorm, 0));
  expect_same_network(smoothed, test::run_float32(source, ids), ids);
}

TEST(Transformed, ANormWeightThatVanishesInHalfPrecisionIsMadeGoodToo) {
  const auto source = model::Checkpoint::open(test::golden_model_dir("mixtral_fp16"));
  const auto ids = test::golden_case("mixtral_fp16", "t33").ids;
  const auto smoothed = transformed(source);
  const Group group = smoothing_groups(source->config(), 1).front();
  std::vector<float> factors(64, 1.0F);
  factors[5] = 0x1p+30F;
  smoothed->fold(group, factors);
  EXPECT_EQ(std::abs(smoothed->vector(Role::kInputNorm, 1)[5]), 0x1p-24F);
  expect_same_network(smoothed, test::run_float32(source, ids), ids);
}

TEST(Transformed, FoldingTwiceMultipliesAndForgettingRestores) {
  const auto source = model::Checkpoint::open(test::golden_model_dir("mixtral"));
  TransformedCheckpoint twice(source, nullptr);
  TransformedCheckpoint once(source, nullptr);
  for (const Group& group : smoothing_groups(source->config(), 1)) {
    const std::vector<float> by_two(static_cast<std::size_t>(group.factors), 2.0F);
    const std::vector<float> by_four(static_cast<std::size_t>(group.factors), 4.0F);
    twice.fold(group, by_two);
    twice.fold(group, by_two);
    once.fold(group, by_four);
  }
  const Matrix original = TransformedCheckpoint(source, nullptr).matrix({Role::kV, 1, -1});
  for (const ModuleId id : {ModuleId{Role::kV, 1, -1}, ModuleId{Role::kO, 1, -1},
                            ModuleId{Role::kRouter, 1, -1}, ModuleId{Role::kDown, 1, 3}}) {
    EXPECT_EQ(twice.matrix(id).values, once.matrix(id).values);
  }
  EXPECT_EQ(twice.vector(Role::kInputNorm, 1), once.vector(Role::kInputNorm, 1));
  EXPECT_EQ(twice.matrix({Role::kV, 1, -1}).values, original.values) << "times 4 and by 4";
  EXPECT_NE(twice.vector(Role::kInputNorm, 1), source->vector(Role::kInputNorm, 1));
  EXPECT_NE(twice.fingerprint({}, {}), source->fingerprint());
  twice.forget_layer(0);
  EXPECT_EQ(twice.vector(Role::kInputNorm, 1), once.vector(Role::kInputNorm, 1));
  twice.forget_layer(1);
  EXPECT_EQ(twice.vector(Role::kInputNorm, 1), source->vector(Role::kInputNorm, 1));
  EXPECT_EQ(twice.matrix({Role::kV, 1, -1}).values, original.values);
  EXPECT_EQ(twice.fingerprint({}, {}), source->fingerprint());
}

TEST(Transformed, RotationUntiesTheHead) {
  const auto source = model::Checkpoint::open(test::golden_model_dir("qwen2"));
  ASSERT_TRUE(source->config().tied_head);
  const auto rotated = transformed(source, rotation_for(source, 1));
  EXPECT_FALSE(rotated->config().tied_head);
  EXPECT_NE(rotated->matrix({Role::kLmHead, -1, -1}).values,
            rotated->matrix({Role::kEmbedding, -1, -1}).values);
  EXPECT_EQ(rotated->vector(Role::kFinalNorm, -1), std::vector<float>(64, 1.0F));
  EXPECT_NE(rotated->fingerprint({}, {}), source->fingerprint());
  EXPECT_NE(rotated->fingerprint({}, {}),
            transformed(source, rotation_for(source, 2))->fingerprint({}, {}));
  EXPECT_EQ(rotated->base_fingerprint(), source->base_fingerprint());
}

}  // namespace
}  // namespace haq::quant
