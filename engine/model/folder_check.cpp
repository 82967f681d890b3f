// SPDX-License-Identifier: GPL-3.0-or-later
// What is checked when a folder is opened: every module the config calls for is there, with a type
// that can be read and the shape the config implies. No weight data is read.
#include <cstring>

#include "engine/base/error.h"
#include "engine/model/folder_checkpoint.h"

namespace haq::model {
namespace {

using Dims = std::vector<std::int64_t>;

Dims weight_dims(const ModuleShape& shape, Layout layout, std::int64_t experts) {
  switch (layout) {
    case Layout::kStacked:
      return {experts, shape.rows, shape.cols};
    case Layout::kStackedGate:
    case Layout::kStackedUp:
      return {experts, 2 * shape.rows, shape.cols};
    case Layout::kTransposed:
      return {experts, shape.cols, shape.rows};
    case Layout::kInterleavedGate:
    case Layout::kInterleavedUp:
      return {experts, shape.cols, 2 * shape.rows};
    default:
      break;
  }
  return shape.is_vector() ? Dims{shape.rows} : Dims{shape.rows, shape.cols};
}

Dims bias_dims(const ModuleShape& shape, Layout layout, std::int64_t experts) {
  switch (layout) {
    case Layout::kTransposed:
      return {experts, shape.rows};
    case Layout::kInterleavedGate:
    case Layout::kInterleavedUp:
      return {experts, 2 * shape.rows};
    default:
      return {shape.rows};
  }
}

/// Fused tensors are seen once per expert and part; only the first sight counts their bytes.
bool counts_bytes(const ModuleShape& shape, Layout layout) {
  switch (layout) {
    case Layout::kPlain:
    case Layout::kBare:
      return true;
    case Layout::kStackedUp:
    case Layout::kInterleavedUp:
      return false;
    default:
      return shape.expert == 0;
  }
}

void check_shape(const std::filesystem::path& folder, const std::string& name,
                 const TensorInfo& info, const Dims& expected) {
  if (info.shape != expected) {
    fail(ErrorCode::kCorrupt, "{}: tensor \"{}\": found shape {}, expected {}", folder.string(),
         name, to_string(info.shape), to_string(expected));
  }
}

bool is_float(const TensorInfo& info) {
  return info.dtype && *info.dtype != DType::kI8;
}

}  // namespace

void FolderCheckpoint::choose_prefix() {
  const ModuleShape embedding = shape_of(Role::kEmbedding, -1, -1);
  for (const auto& prefix : architecture_->prefixes) {
    prefix_ = prefix;
    if (place_of(embedding).entry != nullptr) return;
  }
  prefix_ = architecture_->prefixes.front();  // names the usual tensor in the message that follows
}

void FolderCheckpoint::check_module(const ModuleShape& shape) {
  const Place place = place_of(shape);
  if (place.entry == nullptr) {
    fail(ErrorCode::kNotFound, "{}: tensor \"{}\" is missing, expected shape {}", folder_.string(),
         place.tensor, to_string(weight_dims(shape, place.layout, config_.experts)));
  }
  check_weight(shape, place);
  check_bias(shape, place);
  if (!counts_bytes(shape, place.layout)) return;
  weight_bytes_ += static_cast<std::int64_t>(place.entry->info->bytes());
  if (shape.bias) {
    weight_bytes_ += static_cast<std::int64_t>(tensors_.find(place.bias)->info->bytes());
  }
}

void FolderCheckpoint::check_weight(const ModuleShape& shape, const Place& place) const {
  const TensorInfo& info = *place.entry->info;
  check_shape(folder_, place.tensor, info, weight_dims(shape, place.layout, config_.experts));
  if (info.dtype == DType::kI8) {
    check_quantized(shape, place);
  } else if (!is_float(info)) {
    fail(ErrorCode::kUnsupported,
         "{}: tensor \"{}\": found dtype {}, expected BF16, F16, F32 or I8", folder_.string(),
         place.tensor, info.dtype_name);
  }
}

void FolderCheckpoint::check_quantized(const ModuleShape& shape, const Place& place) const {
  const std::string where = fmt::format("{}: module \"{}\"", folder_.string(), place.module);
  if (!config_.quantized) {
    fail(ErrorCode::kCorrupt, "{} holds I8 weights, but config.json has no quantization_config",
         where);
  }
  if (place.layout != Layout::kPlain || !is_quantizable(shape.role)) {
    fail(ErrorCode::kUnsupported, "{} holds I8 weights, expected 16-bit ones there", where);
  }
  if (ignore_->matches(place.module)) {
    fail(ErrorCode::kCorrupt, "{} holds I8 weights, but the ignore list of config.json names it",
         where);
  }
  const std::string name = place.module + ".weight_scale";
  const TensorSet::Entry* scale = tensors_.find(name);
  if (scale == nullptr) {
    fail(ErrorCode::kNotFound, "{}: tensor \"{}\" is missing, expected shape [{}, 1]",
         folder_.string(), name, shape.rows);
  }
  if (!is_float(*scale->info)) {
    fail(ErrorCode::kUnsupported, "{}: tensor \"{}\": found dtype {}, expected F32 or BF16",
         folder_.string(), name, scale->info->dtype_name);
  }
  if (scale->info->shape != Dims{shape.rows}) {
    check_shape(folder_, name, *scale->info, {shape.rows, 1});
  }
}

void FolderCheckpoint::check_bias(const ModuleShape& shape, const Place& place) const {
  if (place.bias.empty()) return;
  const TensorSet::Entry* bias = tensors_.find(place.bias);
  if (!shape.bias) {
    if (bias == nullptr) return;
    fail(ErrorCode::kUnsupported,
         "{}: tensor \"{}\" is there, but config.json calls for no bias in this module",
         folder_.string(), place.bias);
  }
  const Dims expected = bias_dims(shape, place.layout, config_.experts);
  if (bias == nullptr) {
    fail(ErrorCode::kNotFound, "{}: tensor \"{}\" is missing, expected shape {}", folder_.string(),
         place.bias, to_string(expected));
  }
  check_shape(folder_, place.bias, *bias->info, expected);
  if (!is_float(*bias->info)) {
    fail(ErrorCode::kUnsupported, "{}: tensor \"{}\": found dtype {}, expected BF16, F16 or F32",
         folder_.string(), place.bias, bias->info->dtype_name);
  }
}

void FolderCheckpoint::check_head_copy() const {
  const Place head = place_of(shape_of(Role::kLmHead, -1, -1));
  if (head.entry == nullptr) return;
  const Place table = place_of(shape_of(Role::kEmbedding, -1, -1));
  const auto a = head.entry->data();
  const auto b = table.entry->data();
  if (head.entry->info->dtype_name != table.entry->info->dtype_name || a.size() != b.size() ||
      std::memcmp(a.data(), b.data(), a.size()) != 0) {
    fail(ErrorCode::kCorrupt,
         "{}: tie_word_embeddings is true, but tensor \"{}\" differs from \"{}\"", folder_.string(),
         head.tensor, table.tensor);
  }
}

}  // namespace haq::model
