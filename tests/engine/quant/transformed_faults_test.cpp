// SPDX-License-Identifier: GPL-3.0-or-later
#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "engine/base/error.h"
#include "engine/quant/transform/transformed_checkpoint.h"
#include "tests/engine/quant/transform_fixture.h"
#include "tests/support/errors.h"
#include "tests/support/golden.h"
#include "tests/support/quantized_folder.h"

namespace haq::quant {
namespace {

using model::Role;
using test::expect_error;

std::shared_ptr<const model::Checkpoint> open(const std::string& golden_model) {
  return model::Checkpoint::open(test::golden_model_dir(golden_model));
}

Group group_of_kind(const model::ModelConfig& config, GroupKind kind) {
  for (const Group& group : smoothing_groups(config, 0)) {
    if (group.kind == kind) return group;
  }
  throw std::runtime_error("no such group");
}

TEST(TransformedFaults, QuantizedSource) {
  const test::TempDir dir;
  test::write_quantized_folder(test::golden_model_dir("llama"), dir.path() / "llama");
  const auto source = model::Checkpoint::open(dir.path() / "llama");
  expect_error(ErrorCode::kUnsupported, {"llama", "int8", "16-bit"},
               [&] { TransformedCheckpoint(source, nullptr); });
}

TEST(TransformedFaults, FoldsThatAreNotExact) {
  const auto source = open("olmoe_clip");
  TransformedCheckpoint model(source, nullptr);
  const Group group = group_of_kind(source->config(), GroupKind::kValueOutput);
  expect_error(ErrorCode::kInvalidArgument, {"self_attn.v_proj", "clip_qkv"}, [&] {
    model.fold(group, std::vector<float>(static_cast<std::size_t>(group.factors), 1.0F));
  });
}

TEST(TransformedFaults, FactorsThatAreNoFactors) {
  const auto source = open("mixtral");
  TransformedCheckpoint model(source, nullptr);
  const Group group = group_of_kind(source->config(), GroupKind::kAttentionInput);
  expect_error(ErrorCode::kInvalidArgument, {"63 factors", "input_layernorm", "expected 64"},
               [&] { model.fold(group, std::vector<float>(63, 1.0F)); });
  for (const float bad : {0.0F, -1.0F, std::numeric_limits<float>::infinity(),
                          std::numeric_limits<float>::quiet_NaN()}) {
    std::vector<float> factors(64, 1.0F);
    factors[7] = bad;
    expect_error(ErrorCode::kInvalidArgument, {"factor 7", "input_layernorm"},
                 [&] { model.fold(group, factors); });
  }
  EXPECT_EQ(model.vector(Role::kInputNorm, 0), source->vector(Role::kInputNorm, 0));
}

TEST(TransformedFaults, ValuesBeyondHalfPrecisionNameTheirTensor) {
  const auto source = open("mixtral_fp16");
  TransformedCheckpoint model(source, nullptr);
  const Group group = group_of_kind(source->config(), GroupKind::kFfnInput);
  expect_error(ErrorCode::kNumeric,
               {"model.layers.0.post_attention_layernorm.weight", "beyond the range of F16"},
               [&] { model.fold(group, std::vector<float>(64, 0x1p-20F)); });
  EXPECT_EQ(model.vector(Role::kPostAttentionNorm, 0), source->vector(Role::kPostAttentionNorm, 0));
  model.fold(group, std::vector<float>(64, 0x1p+30F));
  expect_error(ErrorCode::kNumeric,
               {"model.layers.0.block_sparse_moe.gate.weight", "beyond the range of F16"}, [&] {
                 model.matrix({Role::kRouter, 0, -1});
               });
}

TEST(TransformedFaults, NonFiniteWeightsOfWhatStays16Bit) {
  const test::EditedModel model("llama", [](nlohmann::json&, test::TensorFile& file) {
    std::vector<float> values = file.at("lm_head.weight").floats();
    values[65] = std::numeric_limits<float>::quiet_NaN();
    file["lm_head.weight"] = test::make_f32({256, 64}, values);
  });
  const TransformedCheckpoint view(model.checkpoint(), nullptr);
  expect_error(ErrorCode::kNumeric, {"lm_head.weight", "element 65", "not a finite number"}, [&] {
    view.matrix({Role::kLmHead, -1, -1});
  });
}

TEST(TransformedFaults, RotationsThatWouldNotBeExact) {
  const auto source = open("opt_350m");
  const auto rotation = std::make_shared<const Rotation>(open("llama")->config(), 1);
  expect_error(ErrorCode::kUnsupported, {"opt_350m", "cannot be rotated", "residual additions"},
               [&] { TransformedCheckpoint(source, rotation); });
}

TEST(TransformedFaults, RotationOfAnotherWidth) {
  model::ModelConfig narrow = open("llama")->config();
  narrow.hidden = narrow.embed_dim = 32;
  const auto rotation = std::make_shared<const Rotation>(narrow, 1);
  expect_error(ErrorCode::kInvalidArgument, {"width 32", "expected 64"},
               [&] { TransformedCheckpoint(open("llama"), rotation); });
}

TEST(TransformedFaults, LayerNormWithABiasButNoWeight) {
  const std::string norm = "model.layers.1.post_attention_layernorm";
  const auto with_bias = [&](float bias_value) {
    return [&norm, bias_value](nlohmann::json&, test::TensorFile& file) {
      std::vector<float> weight = file.at(norm + ".weight").floats();
      std::vector<float> bias = file.at(norm + ".bias").floats();
      weight[9] = 0;
      bias[9] = bias_value;
      file[norm + ".weight"] = test::make_f32({64}, weight);
      file[norm + ".bias"] = test::make_f32({64}, bias);
    };
  };
  const test::EditedModel dead("phimoe", with_bias(0.5F));
  const auto rotation = std::make_shared<const Rotation>(dead.checkpoint()->config(), 1);
  expect_error(ErrorCode::kUnsupported, {norm, "weight 0 and bias 0.5", "channel 9"},
               [&] { TransformedCheckpoint(dead.checkpoint(), rotation); });

  // Without the bias the channel is simply zero: nothing is lost. Smoothing copes with both.
  const auto ids = test::golden_case("phimoe", "t33").ids;
  const test::EditedModel silent("phimoe", with_bias(0));
  for (const auto* model : {&dead, &silent}) {
    const auto source = model->checkpoint();
    const auto changed = std::make_shared<TransformedCheckpoint>(
        source, model == &silent ? rotation : std::shared_ptr<const Rotation>());
    test::fold_random(*changed, 3);
    EXPECT_LT(test::relative_deviation(test::run_float32(changed, ids).logits,
                                       test::run_float32(source, ids).logits),
              1e-5);
  }
}

}  // namespace
}  // namespace haq::quant
