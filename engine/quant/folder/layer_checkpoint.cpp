// SPDX-License-Identifier: GPL-3.0-or-later
#include <fmt/ranges.h>

#include <cmath>
#include <map>
#include <string>
#include <utility>

#include "engine/base/error.h"
#include "engine/base/hash.h"
#include "engine/model/convert.h"
#include "engine/model/modules.h"
#include "engine/quant/folder/layer_output.h"
#include "engine/quant/folder/storage.h"

namespace haq::quant {
namespace {

using model::ModuleShape;
using model::Role;
using Dims = std::vector<std::int64_t>;

class LayerCheckpoint final : public model::Checkpoint {
 public:
  LayerCheckpoint(std::shared_ptr<const model::Checkpoint> source, const model::ModelConfig& config,
                  std::shared_ptr<const LayerOutput> layer, bool whole)
      : source_(std::move(source)), layer_(std::move(layer)) {
    config_ = config;
    generation_ = source_->generation();
    folder_ = source_->folder();
    name_ = source_->name();
    if (layer_->layer < 0 || layer_->layer >= config_.layer_count()) {
      fail(ErrorCode::kCorrupt, "{}: a finished layer {}, expected 0 to {}", name_, layer_->layer,
           config_.layer_count() - 1);
    }
    for (const OutputTensor& tensor : layer_->tensors) {
      index_[tensor.name] = &tensor;
      weight_bytes_ += static_cast<std::int64_t>(tensor.bytes.size());
    }
    model::for_each_module(config_, [this, whole](const ModuleShape& shape) {
      if (shape.layer != layer_->layer) return;
      if (whole || find(weight_tensor_name(*source_, id_of(shape))) != nullptr) check_module(shape);
    });
  }

  LinearWeights linear(Role role, int layer, int expert, DType f16_target) const override {
    const ModuleShape shape = shape_of(role, layer, expert);
    if (shape.is_vector()) {
      fail(ErrorCode::kInternal, "module {} is a vector, not a linear layer",
           module_name(role, layer, expert));
    }
    const ModuleId id = id_of(shape);
    const OutputTensor& tensor = at(weight_tensor_name(*source_, id));
    LinearWeights weights;
    weights.weight =
        model::make_matrix(tensor.bytes, tensor.dtype, shape.rows, shape.cols, layer_, f16_target);
    weights.weight.mapped = false;
    if (tensor.dtype == DType::kI8) weights.scale = scale_of(id);
    if (shape.bias) weights.bias = finite(bias_tensor_name(*source_, id));
    return weights;
  }

  std::vector<float> vector(Role role, int layer) const override {
    const ModuleShape shape = shape_of(role, layer, -1);
    if (!shape.is_vector()) {
      fail(ErrorCode::kInternal, "module {} is a matrix, not a vector",
           module_name(role, layer, -1));
    }
    return finite(weight_tensor_name(*source_, id_of(shape)));
  }

  std::vector<float> norm_bias(Role role, int layer) const override {
    const ModuleShape shape = shape_of(role, layer, -1);
    if (!shape.is_vector() || !shape.bias) return {};
    return finite(bias_tensor_name(*source_, id_of(shape)));
  }

  bool has(Role role, int layer, int expert) const override {
    return layer == layer_->layer && model::module_shape(config_, role, layer, expert).has_value();
  }
  std::string module_name(Role role, int layer, int expert) const override {
    return source_->quantized_name(role, layer, expert);
  }

  std::string fingerprint(const ProgressCallback&, const CancelToken& cancel) const override {
    Hash128 hash;
    for (const auto& [name, tensor] : index_) {
      cancel.check();
      hash.update(name);
      hash.update(tensor->bytes);
    }
    return hash.hex();
  }
  std::string base_fingerprint() const override { return source_->base_fingerprint(); }

 private:
  static ModuleId id_of(const ModuleShape& shape) {
    return {shape.role, shape.layer, shape.expert};
  }

  ModuleShape shape_of(Role role, int layer, int expert) const {
    if (!has(role, layer, expert)) {
      fail(ErrorCode::kNotFound,
           "{}: finished layer {} has no such module (role {}, layer {}, expert {})", name_,
           layer_->layer, static_cast<int>(role), layer, expert);
    }
    return *model::module_shape(config_, role, layer, expert);
  }

  const OutputTensor* find(const std::string& name) const {
    const auto found = index_.find(name);
    return found == index_.end() ? nullptr : found->second;
  }
  const OutputTensor& at(const std::string& name) const {
    if (const OutputTensor* tensor = find(name)) return *tensor;
    fail(ErrorCode::kNotFound, "{}: finished layer {}: tensor \"{}\" is missing", name_,
         layer_->layer, name);
  }

  std::vector<float> finite(const std::string& name) const {
    const OutputTensor& tensor = at(name);
    std::vector<float> values = model::widen(tensor.bytes, tensor.dtype);
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (std::isfinite(values[i])) continue;
      fail(ErrorCode::kNumeric, "{}: tensor \"{}\": element {} is not a finite number", name_, name,
           i);
    }
    return values;
  }

  std::vector<float> scale_of(const ModuleId& id) const {
    const std::string name = scale_tensor_name(*source_, id);
    std::vector<float> scale = finite(name);
    for (std::size_t i = 0; i < scale.size(); ++i) {
      if (scale[i] >= 0) continue;
      fail(ErrorCode::kCorrupt, "{}: tensor \"{}\": element {} is negative ({})", name_, name, i,
           scale[i]);
    }
    return scale;
  }

  void check_tensor(const OutputTensor& tensor, const Dims& expected, bool may_be_int8) const {
    if (tensor.shape != expected) {
      fail(ErrorCode::kCorrupt, "{}: tensor \"{}\": found shape [{}], expected [{}]", name_,
           tensor.name, fmt::join(tensor.shape, ", "), fmt::join(expected, ", "));
    }
    if (tensor.dtype == DType::kI8 && !may_be_int8) {
      fail(ErrorCode::kCorrupt, "{}: tensor \"{}\": found dtype I8, expected F32, F16 or BF16",
           name_, tensor.name);
    }
    std::size_t bytes = size_of(tensor.dtype);
    for (const std::int64_t extent : expected) bytes *= static_cast<std::size_t>(extent);
    if (tensor.bytes.size() != bytes) {
      fail(ErrorCode::kCorrupt, "{}: tensor \"{}\": found {} bytes, expected {}", name_,
           tensor.name, tensor.bytes.size(), bytes);
    }
  }

  void check_module(const ModuleShape& shape) {
    const ModuleId id = id_of(shape);
    const OutputTensor& weight = at(weight_tensor_name(*source_, id));
    const bool quantizable = model::is_quantizable(shape.role);
    check_tensor(weight, shape.is_vector() ? Dims{shape.rows} : Dims{shape.rows, shape.cols},
                 quantizable);
    if (weight.dtype == DType::kI8) {
      const OutputTensor& scale = at(scale_tensor_name(*source_, id));
      check_tensor(scale, scale.shape.size() == 1 ? Dims{shape.rows} : Dims{shape.rows, 1}, false);
    }
    const std::string bias_name = bias_tensor_name(*source_, id);
    if (shape.bias) {
      check_tensor(at(bias_name), {shape.rows}, false);
    } else if (find(bias_name) != nullptr) {
      fail(ErrorCode::kCorrupt, "{}: tensor \"{}\" is there, but this module has no bias", name_,
           bias_name);
    }
  }

  std::shared_ptr<const model::Checkpoint> source_;
  std::shared_ptr<const LayerOutput> layer_;
  std::map<std::string, const OutputTensor*> index_;  ///< into layer_
};

}  // namespace

std::shared_ptr<const model::Checkpoint> make_layer_checkpoint(
    std::shared_ptr<const model::Checkpoint> source, const model::ModelConfig& config,
    LayerOutput layer) {
  return std::make_shared<LayerCheckpoint>(
      std::move(source), config, std::make_shared<const LayerOutput>(std::move(layer)), true);
}

std::shared_ptr<const model::Checkpoint> make_part_checkpoint(
    std::shared_ptr<const model::Checkpoint> source, const model::ModelConfig& config,
    std::shared_ptr<const LayerOutput> part) {
  return std::make_shared<LayerCheckpoint>(std::move(source), config, std::move(part), false);
}

}  // namespace haq::quant
