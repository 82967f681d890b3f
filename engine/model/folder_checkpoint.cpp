// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/model/folder_checkpoint.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/base/error.h"
#include "engine/base/json.h"
#include "engine/model/convert.h"
#include "engine/model/discovery.h"
#include "engine/model/generation_config.h"

namespace haq::model {
namespace {

namespace fs = std::filesystem;

/// The bytes of expert `expert` in a tensor that stacks `experts` of them.
std::span<const std::byte> slice(std::span<const std::byte> bytes, int expert, int experts) {
  const std::size_t size = bytes.size() / static_cast<std::size_t>(experts);
  return bytes.subspan(size * static_cast<std::size_t>(expert), size);
}

}  // namespace

FolderCheckpoint::FolderCheckpoint(const fs::path& folder) {
  std::error_code ignored;
  if (!fs::is_directory(folder, ignored)) {
    fail(ErrorCode::kNotFound,
         "{}: not a folder; a model is a Hugging Face folder with config.json", folder.string());
  }
  folder_ = folder;
  name_ = display_name(folder);
  const fs::path config_path = folder / "config.json";
  if (!fs::is_regular_file(config_path, ignored)) {
    fail(ErrorCode::kNotFound, "{}: holds no config.json, so it is not a model folder",
         folder.string());
  }
  config_ = parse_config(parse_json_file(config_path), config_path.string());
  architecture_ = find_architecture(config_.model_type);
  generation_ = read_generation_config(folder);
  for (const std::int64_t id : generation_.eos_ids) {
    auto& ids = config_.eos_ids;
    if (std::find(ids.begin(), ids.end(), id) == ids.end()) ids.push_back(id);
  }
  ignore_ = std::make_unique<IgnoreList>(config_.quantization_ignore, config_path.string());
  tensors_ = TensorSet::open(folder);
  choose_prefix();
  for_each_module(config_, [this](const ModuleShape& shape) { check_module(shape); });
  const ModuleShape attention = shape_of(config_.mla ? Role::kKvA : Role::kK, 0, -1);
  weight_type_ = *place_of(attention).entry->info->dtype;
}

FolderCheckpoint::Place FolderCheckpoint::place_of(const ModuleShape& shape) const {
  const bool expert = shape.expert >= 0;
  std::optional<Place> first;
  for (const auto& row : architecture_->modules) {
    if (row.role != shape.role || row.expert != expert) continue;
    Place place;
    place.layout = row.layout;
    place.module = fill_pattern(row.pattern, prefix_, shape.layer, shape.expert);
    switch (row.layout) {
      case Layout::kTransposed:
      case Layout::kInterleavedGate:
      case Layout::kInterleavedUp:
        place.tensor = place.module;
        place.bias = place.module + "_bias";
        break;
      case Layout::kBare:
        place.tensor = place.module;
        break;
      default:
        place.tensor = place.module + ".weight";
        place.bias = place.module + ".bias";
    }
    place.entry = tensors_.find(place.tensor);
    if (place.entry != nullptr) return place;
    if (!first) first = std::move(place);
  }
  if (!first) {
    fail(ErrorCode::kInternal, "the architecture table of {} has no entry for a module of layer {}",
         config_.model_type, shape.layer);
  }
  return *first;
}

ModuleShape FolderCheckpoint::shape_of(Role role, int layer, int expert) const {
  if (const auto shape = module_shape(config_, role, layer, expert)) return *shape;
  fail(ErrorCode::kNotFound, "{}: {} has no such module (role {}, layer {}, expert {})",
       folder_.string(), config_.model_type, static_cast<int>(role), layer, expert);
}

bool FolderCheckpoint::has(Role role, int layer, int expert) const {
  return module_shape(config_, role, layer, expert).has_value();
}

std::string FolderCheckpoint::module_name(Role role, int layer, int expert) const {
  Place place = place_of(shape_of(role, layer, expert));
  switch (place.layout) {
    case Layout::kPlain:
    case Layout::kBare:
      return place.module;
    default: {
      // Parts of a fused tensor get names of their own, so that reports can tell them apart.
      const char* part = role == Role::kGate ? "gate" : role == Role::kUp ? "up" : "down";
      return fmt::format("{}.{}.{}", place.module, expert, part);
    }
  }
}

std::string FolderCheckpoint::quantized_name(Role role, int layer, int expert) const {
  const ModuleShape shape = shape_of(role, layer, expert);
  const Place place = place_of(shape);
  if (place.layout == Layout::kPlain || place.layout == Layout::kBare) return place.module;
  return fill_pattern(separate_module(*architecture_, role, expert >= 0), prefix_, layer, expert);
}

std::vector<float> FolderCheckpoint::finite(std::vector<float> values,
                                            const std::string& tensor) const {
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i])) {
      fail(ErrorCode::kNumeric, "{}: tensor \"{}\": element {} is not a finite number",
           folder_.string(), tensor, i);
    }
  }
  return values;
}

std::vector<float> FolderCheckpoint::bias_of(const ModuleShape& shape, const Place& place) const {
  if (!shape.bias) return {};
  const TensorSet::Entry* entry = tensors_.find(place.bias);
  const DType type = *entry->info->dtype;
  switch (place.layout) {
    case Layout::kTransposed:
      return finite(widen(slice(entry->data(), shape.expert, config_.experts), type), place.bias);
    case Layout::kInterleavedGate:
    case Layout::kInterleavedUp:
      return finite(widen(slice(entry->data(), shape.expert, config_.experts), type,
                          place.layout == Layout::kInterleavedUp ? 1 : 0, 2),
                    place.bias);
    default:
      return finite(widen(entry->data(), type), place.bias);
  }
}

std::vector<float> FolderCheckpoint::scale_of(const Place& place) const {
  const std::string name = place.module + ".weight_scale";
  const TensorSet::Entry* entry = tensors_.find(name);
  auto scale = finite(widen(entry->data(), *entry->info->dtype), name);
  for (std::size_t i = 0; i < scale.size(); ++i) {
    if (scale[i] < 0) {
      fail(ErrorCode::kCorrupt, "{}: tensor \"{}\": element {} is negative ({})", folder_.string(),
           name, i, scale[i]);
    }
  }
  // Symmetric weights have no zero point; writers that store one anyway store zeros.
  if (const auto* zero = tensors_.find(place.module + ".weight_zero_point"); zero != nullptr) {
    const auto bytes = zero->data();
    if (std::any_of(bytes.begin(), bytes.end(), [](std::byte b) { return b != std::byte{0}; })) {
      fail(ErrorCode::kUnsupported, "{}: module \"{}\" has a weight_zero_point that is not zero",
           folder_.string(), place.module);
    }
  }
  return scale;
}

LinearWeights FolderCheckpoint::linear(Role role, int layer, int expert, DType f16_target) const {
  ModuleShape shape = shape_of(role, layer, expert);
  if (role == Role::kLmHead && config_.tied_head) {
    check_head_copy();
    shape = shape_of(Role::kEmbedding, -1, -1);
  }
  if (shape.is_vector()) {
    fail(ErrorCode::kInternal, "module {} is a vector, not a linear layer",
         module_name(role, layer, expert));
  }
  const Place place = place_of(shape);
  const DType type = *place.entry->info->dtype;
  const std::shared_ptr<const void> owner = place.entry->file->mapping();
  const auto bytes = place.entry->data();

  LinearWeights weights;
  switch (place.layout) {
    case Layout::kPlain:
    case Layout::kBare:
      weights.weight = make_matrix(bytes, type, shape.rows, shape.cols, owner, f16_target);
      break;
    case Layout::kStacked:
      weights.weight = make_matrix(slice(bytes, expert, config_.experts), type, shape.rows,
                                   shape.cols, owner, f16_target);
      break;
    case Layout::kStackedGate:
    case Layout::kStackedUp: {
      const auto both = slice(bytes, expert, config_.experts);
      const auto half = slice(both, place.layout == Layout::kStackedUp ? 1 : 0, 2);
      weights.weight = make_matrix(half, type, shape.rows, shape.cols, owner, f16_target);
      break;
    }
    case Layout::kTransposed:
      weights.weight = make_transposed(slice(bytes, expert, config_.experts), type, shape.cols,
                                       shape.rows, 0, 1, f16_target);
      break;
    case Layout::kInterleavedGate:
    case Layout::kInterleavedUp:
      weights.weight =
          make_transposed(slice(bytes, expert, config_.experts), type, shape.cols, 2 * shape.rows,
                          place.layout == Layout::kInterleavedUp ? 1 : 0, 2, f16_target);
      break;
  }
  weights.bias = bias_of(shape, place);
  if (type == DType::kI8) weights.scale = scale_of(place);
  return weights;
}

std::vector<float> FolderCheckpoint::vector(Role role, int layer) const {
  const ModuleShape shape = shape_of(role, layer, -1);
  const Place place = place_of(shape);
  if (!shape.is_vector()) {
    fail(ErrorCode::kInternal, "module {} is a matrix, not a vector", place.module);
  }
  return finite(widen(place.entry->data(), *place.entry->info->dtype), place.tensor);
}

std::vector<float> FolderCheckpoint::norm_bias(Role role, int layer) const {
  const ModuleShape shape = shape_of(role, layer, -1);
  return shape.is_vector() ? bias_of(shape, place_of(shape)) : std::vector<float>();
}

}  // namespace haq::model
