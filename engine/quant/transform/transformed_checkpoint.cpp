// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/quant/transform/transformed_checkpoint.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

#include "engine/base/error.h"
#include "engine/base/hash.h"
#include "engine/model/convert.h"
#include "engine/model/modules.h"
#include "engine/quant/folder/storage.h"

namespace haq::quant {
namespace {

using model::ModelConfig;
using model::Role;

/// The norm between the residual stream and a linear that reads it.
std::optional<ModuleId> norm_before(const ModelConfig& config, const ModuleId& id) {
  switch (id.role) {
    case Role::kQ:
    case Role::kK:
    case Role::kV:
    case Role::kQA:
    case Role::kKvA:
      return ModuleId{Role::kInputNorm, id.layer, -1};
    case Role::kRouter:
    case Role::kGate:
    case Role::kUp:
    case Role::kSharedGate:
    case Role::kSharedUp:
    case Role::kSharedExpertGate:
      return ModuleId{Role::kPostAttentionNorm, id.layer, -1};
    case Role::kLmHead:
      if (config.final_norm) return ModuleId{Role::kFinalNorm, -1, -1};
      return std::nullopt;
    default:
      return std::nullopt;
  }
}

bool is_stream_norm(Role role) {
  return role == Role::kInputNorm || role == Role::kPostAttentionNorm || role == Role::kFinalNorm;
}

/// Linears whose rows, or whose inputs, lie in the basis of the residual stream.
bool reads_stream(const ModelConfig& config, const ModuleId& id) {
  return id.role == Role::kEmbedding || id.role == Role::kPositionEmbedding ||
         id.role == Role::kLmHead || norm_before(config, id).has_value();
}
bool writes_stream(Role role) {
  return role == Role::kO || role == Role::kDown || role == Role::kSharedDown;
}

void multiply_columns(Matrix& matrix, std::span<const float> factors) {
  for (std::int64_t row = 0; row < matrix.rows; ++row) {
    const std::span<float> values = matrix.row(row);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] *= factors[i];
  }
}

void divide(std::vector<float>& values, std::span<const float> divisors) {
  for (std::size_t i = 0; i < values.size(); ++i) values[i] /= divisors[i];
}

/// The smallest positive value of a type.
float smallest(DType type) {
  switch (type) {
    case DType::kF16:
      return 0x1p-24F;
    case DType::kBF16:
      return 0x1p-133F;
    default:
      return std::numeric_limits<float>::denorm_min();
  }
}

DType storage_type_of(const model::Checkpoint& source) {
  const std::string precision = source.precision();
  return precision == "f32" ? DType::kF32 : precision == "f16" ? DType::kF16 : DType::kBF16;
}

}  // namespace

TransformedCheckpoint::TransformedCheckpoint(std::shared_ptr<const model::Checkpoint> source,
                                             std::shared_ptr<const Rotation> rotation)
    : source_(std::move(source)), rotation_(std::move(rotation)) {
  config_ = source_->config();
  generation_ = source_->generation();
  folder_ = source_->folder();
  name_ = source_->name();
  if (config_.quantized) {
    fail(ErrorCode::kUnsupported, "{}: holds int8 weights already, expected a 16-bit model", name_);
  }
  weight_type_ = storage_type_of(*source_);
  if (rotation_) {
    check_rotation();
    config_.tied_head = false;
  }
  weight_bytes_ = parameters().total * static_cast<std::int64_t>(size_of(weight_type_));
}

void TransformedCheckpoint::check_rotation() const {
  if (const auto reason = Rotation::obstacle(config_)) {
    fail(ErrorCode::kUnsupported, "{}: cannot be rotated: {}", name_, *reason);
  }
  if (rotation_->matrix().rows != config_.hidden) {
    fail(ErrorCode::kInvalidArgument, "{}: a rotation of width {}, expected {}", name_,
         rotation_->matrix().rows, config_.hidden);
  }
  model::for_each_module(config_, [&](const model::ModuleShape& shape) {
    if (!is_stream_norm(shape.role) || !shape.bias) return;
    const std::vector<float> weight = source_->vector(shape.role, shape.layer);
    const std::vector<float> bias = source_->norm_bias(shape.role, shape.layer);
    for (std::size_t i = 0; i < weight.size(); ++i) {
      if (bias[i] == 0 || std::isfinite(bias[i] / weight[i])) continue;
      fail(ErrorCode::kUnsupported,
           "{}: cannot be rotated: {} has weight {} and bias {} in channel {}; the bias cannot be "
           "expressed before the weight",
           name_, source_->module_name(shape.role, shape.layer), weight[i], bias[i], i);
    }
  });
}

DType TransformedCheckpoint::storage_type() const {
  return weight_type_;
}

void TransformedCheckpoint::fold(const Group& group, std::span<const float> scale) {
  const std::string source =
      module_name(group.source.role, group.source.layer, group.source.expert);
  if (!group.exact) {
    fail(ErrorCode::kInvalidArgument, "{}: factors cannot be folded into {}: {}", name_, source,
         group.reason);
  }
  if (static_cast<std::int64_t>(scale.size()) != group.factors) {
    fail(ErrorCode::kInvalidArgument, "{}: {} factors for {}, expected {}", name_, scale.size(),
         source, group.factors);
  }
  for (std::size_t i = 0; i < scale.size(); ++i) {
    if (scale[i] > 0 && std::isfinite(scale[i])) continue;
    fail(ErrorCode::kInvalidArgument, "{}: factor {} for {} is {}, expected a positive number",
         name_, i, source, scale[i]);
  }
  const auto shape =
      model::module_shape(config_, group.source.role, group.source.layer, group.source.expert);
  std::vector<float> divisors(static_cast<std::size_t>(shape->rows), 1.0F);
  if (const auto found = row_factors_.find(group.source); found != row_factors_.end()) {
    divisors = found->second;
  }
  if (!shape->is_vector()) return fold_projection(group, scale, std::move(divisors));
  for (std::size_t i = 0; i < scale.size(); ++i) divisors[i] *= scale[i];
  const std::vector<float> factors = norm_factors(group.source, divisors);
  for (const ModuleId& reader : group.readers) column_factors_[reader] = factors;
  row_factors_[group.source] = std::move(divisors);
}

/// The weight of a norm divided and rounded to the type it is stored in. A channel that would
/// vanish by that keeps the smallest value there is: the readers' factor makes it good.
std::vector<float> TransformedCheckpoint::stored_norm(const ModuleId& norm,
                                                      std::span<const float> divisors) const {
  const std::vector<float> weight = rotated_vector(norm.role, norm.layer);
  std::vector<float> stored = weight;
  divide(stored, divisors);
  round_to_storage(stored, weight_type_, weight_tensor_name(*source_, norm));
  for (std::size_t i = 0; i < stored.size(); ++i) {
    if (stored[i] != 0 || weight[i] == 0) continue;
    stored[i] = std::copysign(smallest(weight_type_), weight[i]);
  }
  return stored;
}

/// What each channel of a norm is really divided by, after rounding its weight. (A channel of
/// weight zero holds its bias alone.)
std::vector<float> TransformedCheckpoint::norm_factors(const ModuleId& norm,
                                                       std::span<const float> divisors) const {
  const std::vector<float> weight = rotated_vector(norm.role, norm.layer);
  const std::vector<float> stored = stored_norm(norm, divisors);
  std::vector<float> factors(divisors.begin(), divisors.end());
  for (std::size_t i = 0; i < factors.size(); ++i) {
    if (weight[i] != 0) factors[i] = weight[i] / stored[i];
  }
  return factors;
}

void TransformedCheckpoint::fold_projection(const Group& group, std::span<const float> scale,
                                            std::vector<float> divisors) {
  for (std::size_t i = 0; i < scale.size(); ++i) {
    std::size_t row = i;
    if (group.source.role == Role::kKvB) {
      // Each head's rows are its part of the keys, then its values.
      const auto values = static_cast<std::size_t>(config_.mla->v_dim);
      const auto keys = static_cast<std::size_t>(config_.mla->nope_dim);
      row = i / values * (keys + values) + keys + i % values;
    }
    divisors[row] *= scale[i];
  }
  row_factors_[group.source] = std::move(divisors);
  for (const ModuleId& reader : group.readers) {
    auto& factors = column_factors_[reader];
    factors.resize(static_cast<std::size_t>(group.channels), 1.0F);
    for (std::size_t i = 0; i < factors.size(); ++i) {
      factors[i] *= scale[group.ties.empty() ? i : static_cast<std::size_t>(group.ties[i])];
    }
  }
}

void TransformedCheckpoint::forget_layer(int layer) {
  const auto of_layer = [layer](const auto& entry) { return entry.first.layer == layer; };
  std::erase_if(column_factors_, of_layer);
  std::erase_if(row_factors_, of_layer);
}

void TransformedCheckpoint::rotate(const ModuleId& id, Linear& linear) const {
  if (!rotation_) return;
  if (reads_stream(config_, id)) {
    if (const auto norm = norm_before(config_, id)) {
      multiply_columns(linear.weights, source_->vector(norm->role, norm->layer));
    }
    linear.weights = rotation_->rotate_input(linear.weights);
  } else if (writes_stream(id.role)) {
    linear.weights = rotation_->rotate_output(linear.weights);
    if (!linear.bias.empty()) linear.bias = rotation_->rotate_vector(linear.bias);
  }
}

void TransformedCheckpoint::scale(const ModuleId& id, Linear& linear) const {
  if (const auto found = column_factors_.find(id); found != column_factors_.end()) {
    multiply_columns(linear.weights, found->second);
  }
  const auto found = row_factors_.find(id);
  if (found == row_factors_.end()) return;
  for (std::int64_t row = 0; row < linear.weights.rows; ++row) {
    const float divisor = found->second[static_cast<std::size_t>(row)];
    for (float& value : linear.weights.row(row)) value /= divisor;
  }
  divide(linear.bias, found->second);
}

TransformedCheckpoint::Linear TransformedCheckpoint::transformed(const ModuleId& id) const {
  LinearWeights source = source_->linear(id.role, id.layer, id.expert, DType::kF32);
  Linear linear;
  linear.weights.rows = source.weight.rows;
  linear.weights.cols = source.weight.cols;
  linear.weights.values =
      model::widen({source.weight.data, source.weight.bytes()}, source.weight.dtype);
  linear.bias = std::move(source.bias);
  rotate(id, linear);
  scale(id, linear);
  if (!model::is_quantizable(id.role)) {
    round_to_storage(linear.weights.values, weight_type_, weight_tensor_name(*source_, id));
  }
  if (!linear.bias.empty()) {
    round_to_storage(linear.bias, weight_type_, bias_tensor_name(*source_, id));
  }
  return linear;
}

Matrix TransformedCheckpoint::matrix(const ModuleId& id) const {
  return transformed(id).weights;
}

LinearWeights TransformedCheckpoint::linear(Role role, int layer, int expert, DType) const {
  Linear linear = transformed({role, layer, expert});
  const auto matrix = std::make_shared<const Matrix>(std::move(linear.weights));
  LinearWeights weights;
  weights.weight.rows = matrix->rows;
  weights.weight.cols = matrix->cols;
  weights.weight.data = reinterpret_cast<const std::byte*>(matrix->data());
  weights.weight.owner = matrix;
  weights.bias = std::move(linear.bias);
  return weights;
}

std::vector<float> TransformedCheckpoint::rotated_vector(Role role, int layer) const {
  std::vector<float> values = source_->vector(role, layer);
  if (rotation_ && is_stream_norm(role)) std::fill(values.begin(), values.end(), 1.0F);
  return values;
}

std::vector<float> TransformedCheckpoint::vector(Role role, int layer) const {
  const ModuleId id{role, layer, -1};
  if (const auto found = row_factors_.find(id); found != row_factors_.end()) {
    return stored_norm(id, found->second);
  }
  std::vector<float> values = rotated_vector(role, layer);
  round_to_storage(values, weight_type_, weight_tensor_name(*source_, id));
  return values;
}

std::vector<float> TransformedCheckpoint::norm_bias(Role role, int layer) const {
  std::vector<float> bias = source_->norm_bias(role, layer);
  if (bias.empty()) return bias;
  const ModuleId id{role, layer, -1};
  if (rotation_ && is_stream_norm(role)) {
    const std::vector<float> weight = source_->vector(role, layer);
    for (std::size_t i = 0; i < bias.size(); ++i) bias[i] = bias[i] == 0 ? 0 : bias[i] / weight[i];
    bias = rotation_->rotate_vector(bias);
  }
  if (const auto found = row_factors_.find(id); found != row_factors_.end()) {
    divide(bias, norm_factors(id, found->second));
  }
  round_to_storage(bias, weight_type_, bias_tensor_name(*source_, id));
  return bias;
}

bool TransformedCheckpoint::has(Role role, int layer, int expert) const {
  return source_->has(role, layer, expert);
}

std::string TransformedCheckpoint::module_name(Role role, int layer, int expert) const {
  return source_->module_name(role, layer, expert);
}

std::string TransformedCheckpoint::quantized_name(Role role, int layer, int expert) const {
  return source_->quantized_name(role, layer, expert);
}

std::string TransformedCheckpoint::fingerprint(const ProgressCallback& progress,
                                               const CancelToken& cancel) const {
  std::string source = source_->fingerprint(progress, cancel);
  if (!rotation_ && row_factors_.empty()) return source;
  Hash128 hash;
  hash.update(source);
  if (rotation_) hash.update(fmt::format("|rotation {}", rotation_->seed()));
  for (const auto& [id, factors] : row_factors_) {
    hash.update(fmt::format("|{} {} {}|", static_cast<int>(id.role), id.layer, id.expert));
    hash.update(std::as_bytes(std::span(factors)));
  }
  return hash.hex();
}

std::string TransformedCheckpoint::base_fingerprint() const {
  return source_->base_fingerprint();
}

}  // namespace haq::quant
