// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/model/modules.h"
#include "engine/quant/layer_pipeline.h"
#include "engine/quant/storage.h"

namespace haq::quant {
namespace {

void add(const TransformedCheckpoint& model, const model::ModuleShape& shape, LayerOutput& output) {
  const ModuleId id{shape.role, shape.layer, shape.expert};
  const DType type = model.storage_type();
  const std::string name = weight_tensor_name(model, id);
  std::vector<float> bias;
  if (shape.is_vector()) {
    output.tensors.push_back(
        make_output_tensor(name, type, {shape.rows}, model.vector(shape.role, shape.layer)));
    bias = model.norm_bias(shape.role, shape.layer);
  } else {
    LinearWeights weights = model.linear(shape.role, shape.layer, shape.expert, DType::kF32);
    const std::span<const float> values(reinterpret_cast<const float*>(weights.weight.data),
                                        weights.weight.bytes() / sizeof(float));
    output.tensors.push_back(make_output_tensor(name, type, {shape.rows, shape.cols}, values));
    bias = std::move(weights.bias);
  }
  if (bias.empty()) return;
  output.tensors.push_back(
      make_output_tensor(bias_tensor_name(model, id), type, {shape.rows}, bias));
}

}  // namespace

LayerOutput global_tensors(const TransformedCheckpoint& model) {
  LayerOutput output;
  model::for_each_module(model.config(), [&](const model::ModuleShape& shape) {
    if (shape.layer < 0) add(model, shape, output);
  });
  return output;
}

}  // namespace haq::quant
