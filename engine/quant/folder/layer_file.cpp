// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/quant/folder/layer_file.h"

#include <algorithm>
#include <map>

#include "engine/base/error.h"
#include "engine/base/hash.h"
#include "engine/base/json.h"
#include "engine/base/log.h"
#include "engine/quant/folder/safetensors_writer.h"
#include "engine/quant/report/report_fields.h"

namespace haq::quant {
namespace {

namespace fs = std::filesystem;

constexpr const char* kRunKey = "haq.run";
constexpr const char* kLayerKey = "haq.layer";
constexpr const char* kReportsKey = "haq.reports";
constexpr const char* kContentKey = "haq.content";
constexpr std::size_t kMaxItems = 1 << 20;  ///< modules or experts of one layer

/// Hash over everything a layer file says.
class ContentHash {
 public:
  ContentHash(const std::string& run, int layer, const std::string& reports) {
    hash_.update(fmt::format("{}\n{}\n{}\n{}\n", run, layer, reports.size(), reports));
  }
  void add(const std::string& name, DType dtype, const std::vector<std::int64_t>& shape,
           std::span<const std::byte> bytes) {
    hash_.update(
        fmt::format("\n{}\n{}\n{}\n", name, haq::to_string(dtype), model::to_string(shape)));
    hash_.update(bytes);
  }
  std::string hex() const { return hash_.hex(); }

 private:
  Hash128 hash_;
};

using Tensors = std::map<std::string, const OutputTensor*>;

Tensors by_name(const LayerOutput& layer) {
  Tensors tensors;
  for (const OutputTensor& tensor : layer.tensors) {
    const TensorSpec spec{tensor.name, tensor.dtype, tensor.shape};
    if (tensor.bytes.size() != spec.bytes()) {
      fail(ErrorCode::kInternal, "tensor \"{}\" has {} bytes, expected {}", tensor.name,
           tensor.bytes.size(), spec.bytes());
    }
    if (!tensors.emplace(tensor.name, &tensor).second) {
      fail(ErrorCode::kInternal, "tensor \"{}\" is given twice", tensor.name);
    }
  }
  return tensors;
}

std::string content_of(const model::SafetensorsFile& file, const std::string& run, int layer,
                       const std::string& reports) {
  std::map<std::string, const model::TensorInfo*> tensors;
  for (const auto& [name, info] : file.header().tensors) tensors.emplace(name, &info);
  ContentHash hash(run, layer, reports);
  for (const auto& [name, info] : tensors) {
    if (!info->dtype) return {};
    hash.add(name, *info->dtype, info->shape, file.data(*info));
  }
  return hash.hex();
}

const std::string* metadata(const model::SafetensorsFile& file, const char* key) {
  const auto found = file.header().metadata.find(key);
  return found == file.header().metadata.end() ? nullptr : &found->second;
}

}  // namespace

std::string layer_file_name(int layer) {
  return layer < 0 ? "globals.safetensors" : fmt::format("layer-{:04}.safetensors", layer);
}

std::string layer_reports(const LayerOutput& layer) {
  nlohmann::ordered_json json;
  json["modules"] = nlohmann::ordered_json::array();
  for (const ModuleReport& module : layer.modules) json["modules"].push_back(to_json(module));
  json["experts"] = nlohmann::ordered_json::array();
  for (const ExpertReport& expert : layer.experts) json["experts"].push_back(to_json(expert));
  json["router_choices"] = layer.router_choices;
  json["router_equal"] = layer.router_equal;
  return json.dump();
}

void read_layer_reports(const std::string& text, const std::string& file, LayerOutput& layer) {
  JsonLimits limits;
  limits.max_bytes = model::SafetensorsHeader::kMaxHeaderBytes;
  const nlohmann::json json = parse_json(text, file, limits);
  const model::Fields fields(json, file);
  for_each_object(fields, "modules", kMaxItems, [&](const model::Fields& item) {
    layer.modules.push_back(module_from_json(item));
  });
  for_each_object(fields, "experts", kMaxItems, [&](const model::Fields& item) {
    layer.experts.push_back(expert_from_json(item));
  });
  layer.router_choices = fields.integer_if("router_choices", 0, kMaxCount).value_or(0);
  layer.router_equal = fields.integer_if("router_equal", 0, kMaxCount).value_or(0);
}

void write_layer_file(const fs::path& path, const std::string& run, const LayerOutput& layer) {
  const Tensors tensors = by_name(layer);
  const std::string reports = layer_reports(layer);
  ContentHash hash(run, layer.layer, reports);
  std::vector<TensorSpec> specs;
  for (const auto& [name, tensor] : tensors) {
    hash.add(name, tensor->dtype, tensor->shape, tensor->bytes);
    specs.push_back({name, tensor->dtype, tensor->shape});
  }
  specs = in_file_order(std::move(specs));
  SafetensorsWriter writer(path, {}, specs,
                           {{kRunKey, run},
                            {kLayerKey, std::to_string(layer.layer)},
                            {kReportsKey, reports},
                            {kContentKey, hash.hex()}});
  for (const TensorSpec& spec : specs) writer.write(tensors.at(spec.name)->bytes);
  writer.commit();
}

std::shared_ptr<const model::SafetensorsFile> open_layer_file(const fs::path& path,
                                                              const std::string& run, int layer,
                                                              bool check_content) {
  std::error_code ignored;
  if (!fs::is_regular_file(path, ignored)) return nullptr;
  try {
    auto file = model::SafetensorsFile::open(path);
    const std::string* found_run = metadata(*file, kRunKey);
    const std::string* found_layer = metadata(*file, kLayerKey);
    const std::string* reports = metadata(*file, kReportsKey);
    const std::string* content = metadata(*file, kContentKey);
    if (found_run == nullptr || found_layer == nullptr || reports == nullptr ||
        content == nullptr || *found_run != run || *found_layer != std::to_string(layer)) {
      log::warn(fmt::format("{}: belongs to another run, left out", path.string()));
      return nullptr;
    }
    if (check_content && content_of(*file, run, layer, *reports) != *content) {
      log::warn(fmt::format("{}: damaged, the layer will be made again", path.string()));
      return nullptr;
    }
    return file;
  } catch (const Error& error) {
    log::warn(fmt::format("{}; the layer will be made again", error.what()));
    return nullptr;
  }
}

const std::string& reports_of(const model::SafetensorsFile& file) {
  return file.header().metadata.at(kReportsKey);
}

}  // namespace haq::quant
