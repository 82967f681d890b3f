// SPDX-License-Identifier: GPL-3.0-or-later
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include "engine/base/error.h"
#include "engine/model/modules.h"
#include "engine/quant/arithmetic/rounding.h"
#include "engine/quant/folder/storage.h"
#include "engine/quant/layers/layer_pipeline.h"
#include "tests/engine/quant/transform_fixture.h"
#include "tests/support/errors.h"
#include "tests/support/golden.h"
#include "tests/support/tensor_file.h"

namespace haq::quant {
namespace {

using model::ModuleShape;
using model::Role;
using CheckpointPtr = std::shared_ptr<const model::Checkpoint>;
using test::expect_error;

CheckpointPtr open(const std::string& golden_model) {
  return model::Checkpoint::open(test::golden_model_dir(golden_model));
}

model::ModelConfig quantized_config(const model::Checkpoint& source) {
  model::ModelConfig config = source.config();
  config.quantized = true;
  return config;
}

/// A layer rounded plainly, everything else in the source's type.
LayerOutput plain_layer(const TransformedCheckpoint& model, int layer) {
  LayerOutput output;
  output.layer = layer;
  const DType type = model.storage_type();
  model::for_each_module(model.config(), [&](const ModuleShape& shape) {
    if (shape.layer != layer) return;
    const ModuleId id{shape.role, shape.layer, shape.expert};
    const std::string name = weight_tensor_name(model, id);
    const auto add = [&](const std::string& tensor, std::vector<std::int64_t> dims,
                         const std::vector<float>& values, DType as) {
      output.tensors.push_back(make_output_tensor(tensor, as, std::move(dims), values));
    };
    if (shape.is_vector()) {
      add(name, {shape.rows}, model.vector(shape.role, layer), type);
      if (shape.bias) {
        add(bias_tensor_name(model, id), {shape.rows}, model.norm_bias(shape.role, layer), type);
      }
      return;
    }
    const Matrix weights = model.matrix(id);
    if (model::is_quantizable(shape.role)) {
      const QuantizedMatrix rounded = round_to_nearest(weights);
      OutputTensor tensor{name, DType::kI8, {shape.rows, shape.cols}, {}};
      tensor.bytes.resize(rounded.values.size());
      std::memcpy(tensor.bytes.data(), rounded.values.data(), rounded.values.size());
      output.tensors.push_back(std::move(tensor));
      add(scale_tensor_name(model, id), {shape.rows, 1}, rounded.scales, DType::kF32);
    } else {
      add(name, {shape.rows, shape.cols}, weights.values, type);
    }
    if (shape.bias) {
      add(bias_tensor_name(model, id), {shape.rows},
          model.linear(id.role, id.layer, id.expert, DType::kF32).bias, type);
    }
  });
  return output;
}

void expect_same_linear(const LinearWeights& found, const LinearWeights& expected) {
  ASSERT_EQ(found.weight.dtype, expected.weight.dtype);
  ASSERT_EQ(found.weight.bytes(), expected.weight.bytes());
  EXPECT_EQ(found.weight.rows, expected.weight.rows);
  EXPECT_EQ(std::memcmp(found.weight.data, expected.weight.data, found.weight.bytes()), 0);
  EXPECT_EQ(found.scale, expected.scale);
  EXPECT_EQ(found.bias, expected.bias);
}

class LayersOfModel : public testing::TestWithParam<std::string> {};

TEST_P(LayersOfModel, ServeWhatTheyHoldAndNothingElse) {
  const CheckpointPtr source = open(GetParam());
  const TransformedCheckpoint view(source, nullptr);
  const model::ModelConfig config = quantized_config(*source);
  const int last = config.layer_count() - 1;
  const auto layer = make_layer_checkpoint(source, config, plain_layer(view, last));
  EXPECT_TRUE(layer->config().quantized);
  model::for_each_module(config, [&](const ModuleShape& shape) {
    const ModuleId id{shape.role, shape.layer, shape.expert};
    SCOPED_TRACE(source->quantized_name(id.role, id.layer, id.expert));
    EXPECT_EQ(layer->has(id.role, id.layer, id.expert), id.layer == last);
    if (id.layer != last) {
      EXPECT_THROW(layer->linear(id.role, id.layer, id.expert), Error);
      EXPECT_THROW(layer->vector(id.role, id.layer), Error);
      return;
    }
    EXPECT_EQ(layer->module_name(id.role, id.layer, id.expert),
              source->quantized_name(id.role, id.layer, id.expert));
    if (shape.is_vector()) {
      EXPECT_EQ(layer->vector(id.role, id.layer), source->vector(id.role, id.layer));
      EXPECT_EQ(layer->norm_bias(id.role, id.layer), source->norm_bias(id.role, id.layer));
      return;
    }
    for (const DType target : {DType::kBF16, DType::kF32}) {
      const LinearWeights found = layer->linear(id.role, id.layer, id.expert, target);
      LinearWeights expected = source->linear(id.role, id.layer, id.expert, target);
      const QuantizedMatrix rounded = round_to_nearest(view.matrix(id));
      if (model::is_quantizable(id.role)) {
        expected.weight.dtype = DType::kI8;
        expected.weight.data = reinterpret_cast<const std::byte*>(rounded.values.data());
        expected.scale = rounded.scales;
      }
      expect_same_linear(found, expected);
    }
  });
}

TEST_P(LayersOfModel, TensorsOutsideTheLayersAreTheFilesOwn) {
  const CheckpointPtr source = open(GetParam());
  const LayerOutput ends = global_tensors(TransformedCheckpoint(source, nullptr));
  EXPECT_EQ(ends.layer, -1);
  const test::TensorFile file = test::read_tensor_folder(test::golden_model_dir(GetParam()));
  std::set<std::string> expected;
  for (const auto& [name, tensor] : file) {
    if (name.find(".layers.") == std::string::npos) expected.insert(name);
  }
  std::set<std::string> found;
  for (const OutputTensor& tensor : ends.tensors) {
    SCOPED_TRACE(tensor.name);
    found.insert(tensor.name);
    ASSERT_TRUE(file.count(tensor.name));
    EXPECT_EQ(tensor.bytes, file.at(tensor.name).bytes);
    EXPECT_EQ(tensor.shape, file.at(tensor.name).shape);
    EXPECT_EQ(to_string(tensor.dtype), file.at(tensor.name).dtype);
  }
  EXPECT_EQ(found, expected);
}

INSTANTIATE_TEST_SUITE_P(Models, LayersOfModel, testing::ValuesIn(test::golden_models()),
                         [](const auto& subject) { return subject.param; });

TEST(GlobalTensors, ARotatedModelHasAHeadOfItsOwn) {
  const CheckpointPtr source = open("qwen2");
  const auto rotation = std::make_shared<const Rotation>(source->config(), 1);
  const TransformedCheckpoint rotated(source, rotation);
  const LayerOutput ends = global_tensors(rotated);
  const auto head = std::find_if(ends.tensors.begin(), ends.tensors.end(), [](const auto& tensor) {
    return tensor.name == "lm_head.weight";
  });
  ASSERT_NE(head, ends.tensors.end());
  const OutputTensor expected = make_output_tensor("lm_head.weight", DType::kBF16, {288, 64},
                                                   rotated.matrix({Role::kLmHead, -1, -1}).values);
  EXPECT_EQ(head->bytes, expected.bytes);
  EXPECT_EQ(head->shape, expected.shape);
}

TEST(LayerCheckpoint, BelongsToItsSource) {
  const CheckpointPtr source = open("mixtral");
  const TransformedCheckpoint view(source, nullptr);
  const auto config = quantized_config(*source);
  const auto layer = make_layer_checkpoint(source, config, plain_layer(view, 0));
  EXPECT_EQ(layer->base_fingerprint(), source->base_fingerprint());
  EXPECT_EQ(layer->fingerprint(),
            make_layer_checkpoint(source, config, plain_layer(view, 0))->fingerprint());
  EXPECT_NE(layer->fingerprint(),
            make_layer_checkpoint(source, config, plain_layer(view, 1))->fingerprint());
}

/// Faults: a layer of mixtral with one thing wrong.
class DamagedLayer : public testing::Test {
 protected:
  DamagedLayer()
      : source(open("mixtral")), layer(plain_layer(TransformedCheckpoint(source, nullptr), 1)) {}

  OutputTensor& tensor(const std::string& name) {
    const std::string full = "model.layers.1." + name;
    return *std::find_if(layer.tensors.begin(), layer.tensors.end(),
                         [&](const OutputTensor& one) { return one.name == full; });
  }
  CheckpointPtr make() const {
    return make_layer_checkpoint(source, quantized_config(*source), layer);
  }

  CheckpointPtr source;
  LayerOutput layer;
};

TEST_F(DamagedLayer, IsGoodBeforehand) {
  EXPECT_NO_THROW(make()->linear(Role::kQ, 1));
}

TEST_F(DamagedLayer, MissingTensor) {
  for (const char* name : {"self_attn.q_proj.weight", "self_attn.q_proj.weight_scale",
                           "block_sparse_moe.experts.3.w2.weight", "input_layernorm.weight"}) {
    const std::string kept = tensor(name).name;
    tensor(name).name = "elsewhere";
    expect_error(ErrorCode::kNotFound, {"layer 1", kept, "missing"}, [&] { make(); });
    layer = plain_layer(TransformedCheckpoint(source, nullptr), 1);
  }
}

TEST_F(DamagedLayer, WrongShapeTypeOrSize) {
  tensor("self_attn.k_proj.weight").shape = {64, 32};
  expect_error(ErrorCode::kCorrupt, {"k_proj.weight", "[64, 32]", "[32, 64]"}, [&] { make(); });
  tensor("self_attn.k_proj.weight").shape = {32, 64};

  tensor("self_attn.k_proj.weight").bytes.pop_back();
  expect_error(ErrorCode::kCorrupt, {"k_proj.weight", "2047 bytes", "2048"}, [&] { make(); });
  tensor("self_attn.k_proj.weight").bytes.push_back(std::byte{0});

  tensor("block_sparse_moe.gate.weight").dtype = DType::kI8;
  expect_error(ErrorCode::kCorrupt, {"gate.weight", "I8"}, [&] { make(); });
}

TEST_F(DamagedLayer, UnexpectedBias) {
  layer.tensors.push_back(make_output_tensor("model.layers.1.self_attn.q_proj.bias", DType::kF32,
                                             {64}, std::vector<float>(64, 1.0F)));
  expect_error(ErrorCode::kCorrupt, {"q_proj.bias", "no bias"}, [&] { make(); });
}

TEST_F(DamagedLayer, LayerOutsideTheModel) {
  layer.layer = 2;
  expect_error(ErrorCode::kCorrupt, {"layer 2", "0 to 1"}, [&] { make(); });
  layer.layer = -1;
  EXPECT_THROW(make(), Error);
}

TEST_F(DamagedLayer, ScalesAndNormsThatAreNoNumbers) {
  const float infinity = std::numeric_limits<float>::infinity();
  std::memcpy(tensor("self_attn.q_proj.weight_scale").bytes.data() + 4, &infinity, 4);
  expect_error(ErrorCode::kNumeric, {"q_proj.weight_scale", "element 1"},
               [&] { make()->linear(Role::kQ, 1); });
  const float negative = -0.5F;
  std::memcpy(tensor("self_attn.o_proj.weight_scale").bytes.data(), &negative, 4);
  expect_error(ErrorCode::kCorrupt, {"o_proj.weight_scale", "element 0", "-0.5"},
               [&] { make()->linear(Role::kO, 1); });
  const std::uint16_t not_a_number = 0x7fc0;
  std::memcpy(tensor("input_layernorm.weight").bytes.data() + 6, &not_a_number, 2);
  expect_error(ErrorCode::kNumeric, {"input_layernorm.weight", "element 3"},
               [&] { make()->vector(Role::kInputNorm, 1); });
}

TEST(LayerCheckpoint, BiasesThatAreNoNumbers) {
  const CheckpointPtr source = open("qwen2");
  LayerOutput layer = plain_layer(TransformedCheckpoint(source, nullptr), 0);
  for (OutputTensor& tensor : layer.tensors) {
    const std::uint16_t infinite = 0x7f80;
    if (tensor.name.find("k_proj.bias") == std::string::npos) continue;
    std::memcpy(tensor.bytes.data() + 2, &infinite, 2);
  }
  const auto damaged = make_layer_checkpoint(source, quantized_config(*source), layer);
  EXPECT_NO_THROW(damaged->linear(Role::kQ, 0));
  try {
    damaged->linear(Role::kK, 0);
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kNumeric);
    EXPECT_NE(std::string(error.what()).find("k_proj.bias"), std::string::npos);
  }
}

}  // namespace
}  // namespace haq::quant
