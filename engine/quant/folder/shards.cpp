// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/quant/folder/shards.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>

#include "engine/base/error.h"
#include "engine/base/file.h"
#include "engine/base/json.h"
#include "engine/model/config_fields.h"
#include "engine/quant/folder/output_folder.h"

namespace haq::quant {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
using model::Fields;

constexpr int kSchema = 1;
constexpr std::size_t kMaxPlanBytes = std::size_t{1} << 29;
constexpr std::size_t kPiece = std::size_t{8} << 20;  ///< bytes between two looks at the token

std::vector<ShardPlan::Tensor> tensors_of(int layer, const model::SafetensorsFile& file) {
  std::vector<ShardPlan::Tensor> tensors;
  for (const auto& [name, info] : file.header().tensors) {
    tensors.push_back({{name, *info.dtype, info.shape}, layer});
  }
  std::sort(tensors.begin(), tensors.end(),
            [](const auto& a, const auto& b) { return a.spec.name < b.spec.name; });
  return tensors;
}

std::uint64_t bytes_of(const std::vector<ShardPlan::Tensor>& tensors) {
  std::uint64_t bytes = 0;
  for (const auto& tensor : tensors) bytes += tensor.spec.bytes();
  return bytes;
}

/// The tensors of one shard in file order, which needs all of them at once.
std::vector<ShardPlan::Tensor> ordered(const std::vector<ShardPlan::Tensor>& tensors) {
  std::vector<TensorSpec> specs;
  std::map<std::string, int> layers;
  for (const auto& tensor : tensors) {
    specs.push_back(tensor.spec);
    if (!layers.emplace(tensor.spec.name, tensor.layer).second) {
      fail(ErrorCode::kInternal, "tensor \"{}\" occurs in two layers", tensor.spec.name);
    }
  }
  std::vector<ShardPlan::Tensor> result;
  for (TensorSpec& spec : in_file_order(std::move(specs))) {
    const int layer = layers.at(spec.name);
    result.push_back({std::move(spec), layer});
  }
  return result;
}

/// Fills one shard after the other.
class Packer {
 public:
  explicit Packer(std::uint64_t limit) : limit_(limit) {}

  void add(std::vector<ShardPlan::Tensor> layer) {
    const std::uint64_t bytes = bytes_of(layer);
    if (bytes <= limit_) {
      if (bytes > limit_ - filled_) close();
      take(std::move(layer), bytes);
      return;
    }
    for (auto& tensor : layer) {
      const std::uint64_t size = tensor.spec.bytes();
      if (filled_ > 0 && (size > limit_ || size > limit_ - filled_)) close();
      take({std::move(tensor)}, size);
      if (filled_ > limit_) close();
    }
  }
  std::vector<std::vector<ShardPlan::Tensor>> finish() {
    close();
    return std::move(shards_);
  }

 private:
  void take(std::vector<ShardPlan::Tensor> tensors, std::uint64_t bytes) {
    std::move(tensors.begin(), tensors.end(), std::back_inserter(open_));
    filled_ += bytes;
  }
  void close() {
    if (!open_.empty()) shards_.push_back(std::move(open_));
    open_.clear();
    filled_ = 0;
  }
  std::uint64_t limit_, filled_ = 0;
  std::vector<ShardPlan::Tensor> open_;
  std::vector<std::vector<ShardPlan::Tensor>> shards_;
};

std::string shard_name(std::size_t index, std::size_t count) {
  return count == 1 ? "model.safetensors"
                    : fmt::format("model-{:05}-of-{:05}.safetensors", index + 1, count);
}

DType dtype_of(const Fields& fields) {
  const std::string name = fields.text_if("dtype").value_or("");
  for (const DType type : {DType::kF32, DType::kF16, DType::kBF16, DType::kI8}) {
    if (name == haq::to_string(type)) return type;
  }
  fields.wrong("dtype", "F32, F16, BF16 or I8");
}

ShardPlan::Tensor read_tensor(const Fields& fields) {
  ShardPlan::Tensor tensor;
  tensor.spec.name = fields.text_if("name").value_or("");
  if (tensor.spec.name.empty()) fields.missing("name", "a tensor's name");
  tensor.spec.dtype = dtype_of(fields);
  const auto shape = fields.integers_if("shape", 1, std::numeric_limits<std::int64_t>::max());
  if (!shape) fields.missing("shape", "a list of sizes");
  tensor.spec.shape = *shape;
  (void)tensor.spec.bytes();  // refuses what overflows
  tensor.layer = static_cast<int>(fields.integer("layer", -1, 1 << 16));
  return tensor;
}

const nlohmann::json& array_of(const Fields& fields, const char* key) {
  const nlohmann::json* value = fields.find(key);
  if (value == nullptr || !value->is_array()) fields.wrong(key, "a list");
  return *value;
}

}  // namespace

std::uint64_t ShardPlan::Shard::bytes() const {
  return bytes_of(tensors);
}

std::uint64_t ShardPlan::bytes() const {
  std::uint64_t bytes = 0;
  for (const Shard& shard : shards) bytes += shard.bytes();
  return bytes;
}

ShardPlan ShardPlan::make(const LayerFiles& layers, std::map<std::string, std::string> metadata,
                          std::uint64_t shard_bytes) {
  if (shard_bytes == 0) fail(ErrorCode::kInvalidArgument, "a shard of 0 bytes holds nothing");
  Packer packer(shard_bytes);
  for (const auto& [layer, file] : layers) packer.add(tensors_of(layer, *file));
  ShardPlan plan;
  plan.metadata = std::move(metadata);
  const auto shards = packer.finish();
  for (std::size_t i = 0; i < shards.size(); ++i) {
    plan.shards.push_back({shard_name(i, shards.size()), ordered(shards[i])});
  }
  return plan;
}

void ShardPlan::write(const fs::path& path) const {
  Json json;
  json["schema"] = kSchema;
  json["metadata"] = metadata;
  json["shards"] = Json::array();
  for (const Shard& shard : shards) {
    Json list = Json::array();
    for (const Tensor& tensor : shard.tensors) {
      Json entry;
      entry["name"] = tensor.spec.name;
      entry["dtype"] = haq::to_string(tensor.spec.dtype);
      entry["shape"] = tensor.spec.shape;
      entry["layer"] = tensor.layer;
      list.push_back(std::move(entry));
    }
    json["shards"].push_back(std::move(list));
  }
  json["layers"] = Json::array();
  for (const auto& [layer, text] : reports) {
    json["layers"].push_back({{"layer", layer}, {"reports", text}});
  }
  write_file_atomically(path, json.dump());
}

ShardPlan ShardPlan::read(const fs::path& path) {
  JsonLimits limits;
  limits.max_bytes = kMaxPlanBytes;
  const nlohmann::json json = parse_json_file(path, limits);
  const std::string file = path.string();
  const Fields fields(json, file);
  (void)fields.integer("schema", kSchema, kSchema);
  ShardPlan plan;
  const auto metadata = fields.child("metadata");
  if (!metadata) fields.missing("metadata", "an object");
  for (const auto& [key, value] : metadata->object().items()) {
    plan.metadata[key] = metadata->text_if(key).value_or("");
  }
  const nlohmann::json& shards = array_of(fields, "shards");
  std::set<std::string> names;
  for (const nlohmann::json& list : shards) {
    if (!list.is_array() || list.empty()) fields.wrong("shards", "lists of tensors");
    Shard shard{shard_name(plan.shards.size(), shards.size()), {}};
    for (const nlohmann::json& item : list) {
      shard.tensors.push_back(read_tensor(Fields(item, file, "shards.")));
      if (!names.insert(shard.tensors.back().spec.name).second) {
        fields.wrong("shards", "every tensor once");
      }
    }
    plan.shards.push_back(std::move(shard));
  }
  for (const nlohmann::json& item : array_of(fields, "layers")) {
    const Fields layer(item, file, "layers.");
    plan.reports[static_cast<int>(layer.integer("layer", -1, 1 << 16))] =
        layer.text_if("reports").value_or("{}");
  }
  return plan;
}

std::string ShardPlan::index() const {
  if (shards.size() <= 1) return {};
  std::map<std::string, std::string> weight_map;
  for (const Shard& shard : shards) {
    for (const Tensor& tensor : shard.tensors) weight_map[tensor.spec.name] = shard.file;
  }
  Json json;
  json["metadata"] = {{"total_size", bytes()}};
  json["weight_map"] = weight_map;
  return json.dump(2) + "\n";
}

std::shared_ptr<const model::SafetensorsFile> ShardPlan::open_complete(const fs::path& folder,
                                                                       const Shard& shard) const {
  std::error_code ignored;
  if (!fs::is_regular_file(folder / shard.file, ignored)) return nullptr;
  try {
    auto file = model::SafetensorsFile::open(folder / shard.file);
    const auto& header = file->header();
    if (header.metadata != metadata || header.tensors.size() != shard.tensors.size()) {
      return nullptr;
    }
    for (const Tensor& tensor : shard.tensors) {
      const auto found = header.tensors.find(tensor.spec.name);
      if (found == header.tensors.end() || found->second.dtype != tensor.spec.dtype ||
          found->second.shape != tensor.spec.shape) {
        return nullptr;
      }
    }
    return file;
  } catch (const Error&) {
    return nullptr;  // not whole: it is written anew
  }
}

void write_shard(const ShardPlan& plan, const ShardPlan::Shard& shard, const fs::path& folder,
                 const fs::path& staging,
                 const std::function<std::shared_ptr<const model::SafetensorsFile>(int)>& open,
                 const std::function<void(std::uint64_t)>& written, const CancelToken& cancel) {
  std::vector<TensorSpec> specs;
  ShardPlan::LayerFiles files;
  for (const auto& tensor : shard.tensors) {
    specs.push_back(tensor.spec);
    auto& file = files[tensor.layer];
    if (file == nullptr) file = open(tensor.layer);
  }
  SafetensorsWriter writer(folder / shard.file, staging, specs, plan.metadata);
  for (const auto& tensor : shard.tensors) {
    const model::SafetensorsFile& file = *files.at(tensor.layer);
    const auto found = file.header().tensors.find(tensor.spec.name);
    if (found == file.header().tensors.end() || found->second.dtype != tensor.spec.dtype ||
        found->second.shape != tensor.spec.shape) {
      throw Error(ErrorCode::kCorrupt,
                  fmt::format("{}: tensor \"{}\" is not the one that was planned",
                              file.mapping()->path().string(), tensor.spec.name),
                  "begin anew with --restart");
    }
    for (auto bytes = file.data(found->second); !bytes.empty();) {
      cancel.check();
      const auto piece = bytes.first(std::min(kPiece, bytes.size()));
      writer.write(piece);
      if (written) written(piece.size());
      bytes = bytes.subspan(piece.size());
    }
  }
  writer.commit();
}

}  // namespace haq::quant
