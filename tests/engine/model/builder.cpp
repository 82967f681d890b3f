// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/engine/model/builder.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>

#include "engine/base/json.h"
#include "engine/base/tensor.h"
#include "engine/model/safetensors.h"
#include "tests/support/paths.h"

namespace haq::model::test_data {

namespace fs = std::filesystem;

std::string join(const std::string& header, const std::string& data) {
  const std::uint64_t length = header.size();
  std::string file(sizeof length, '\0');
  std::memcpy(file.data(), &length, sizeof length);
  return file + header + data;
}

std::string safetensors(const Tensors& tensors,
                        const std::map<std::string, std::string>& metadata) {
  nlohmann::json header = nlohmann::json::object();
  std::string data;
  for (const auto& [name, tensor] : tensors) {
    const std::size_t begin = data.size();
    data += tensor.bytes;
    header[name] = {
        {"dtype", tensor.dtype}, {"shape", tensor.shape}, {"data_offsets", {begin, data.size()}}};
  }
  if (!metadata.empty()) header["__metadata__"] = metadata;
  return join(header.dump(), data);
}

Tensors golden_tensors(const std::string& model) {
  const TensorSet set = TensorSet::open(test::golden_dir() / "models" / model);
  Tensors tensors;
  for (const auto& [name, entry] : set.entries()) {
    const auto bytes = entry.data();
    tensors[name] = {entry.info->dtype_name, entry.info->shape,
                     std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size())};
  }
  return tensors;
}

nlohmann::json golden_config(const std::string& model) {
  return parse_json_file(test::golden_dir() / "models" / model / "config.json");
}

void write_file(const fs::path& path, const std::string& text) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

void write_model(const fs::path& folder, const nlohmann::json& config, const Tensors& tensors,
                 const std::map<std::string, std::string>& metadata) {
  write_file(folder / "config.json", config.dump());
  write_file(folder / "model.safetensors", safetensors(tensors, metadata));
}

std::string bf16_bytes(float value, std::size_t count) {
  const BFloat16 rounded = to_bf16(value);
  std::string bytes;
  for (std::size_t i = 0; i < count; ++i) {
    bytes.append(reinterpret_cast<const char*>(&rounded.bits), 2);
  }
  return bytes;
}

std::string f32_bytes(const std::vector<float>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
}

nlohmann::json w8a8_config() {
  return nlohmann::json::parse(R"({
    "quant_method": "compressed-tensors", "version": "0.18.0", "format": "int-quantized",
    "quantization_status": "compressed", "global_compression_ratio": null, "kv_cache_scheme": null,
    "sparsity_config": {}, "transform_config": {},
    "ignore": ["lm_head", "re:.*block_sparse_moe.gate$"],
    "config_groups": {"group_0": {
      "targets": ["Linear"], "format": "int-quantized", "output_activations": null,
      "weights": {"num_bits": 8, "type": "int", "symmetric": true, "strategy": "channel",
        "group_size": null, "block_structure": null, "dynamic": false, "actorder": null,
        "observer": "minmax", "observer_kwargs": {}},
      "input_activations": {"num_bits": 8, "type": "int", "symmetric": true, "strategy": "token",
        "group_size": null, "block_structure": null, "dynamic": true, "actorder": null,
        "observer": null, "observer_kwargs": {}}}}})");
}

Tensors quantized(const Tensors& tensors) {
  Tensors result;
  for (const auto& [name, tensor] : tensors) {
    const bool linear = name.find("_proj.weight") != std::string::npos ||
                        name.find(".experts.") != std::string::npos;
    if (!linear) {
      result[name] = tensor;
      continue;
    }
    const auto rows = static_cast<std::size_t>(tensor.shape[0]);
    const auto cols = static_cast<std::size_t>(tensor.shape[1]);
    Tensor int8{"I8", tensor.shape, {}};
    std::vector<float> scales;
    for (std::size_t row = 0; row < rows; ++row) {
      std::vector<float> values;
      for (std::size_t col = 0; col < cols; ++col) {
        std::uint16_t bits = 0;
        std::memcpy(&bits, tensor.bytes.data() + 2 * (row * cols + col), 2);
        values.push_back(to_float(BFloat16{bits}));
      }
      float largest = 0;
      for (const float value : values) largest = std::max(largest, std::abs(value));
      scales.push_back(largest / 127.0F);
      for (const float value : values) {
        int8.bytes += static_cast<char>(std::lrint(value / scales.back()));
      }
    }
    result[name] = int8;
    result[name + "_scale"] = {"F32", {tensor.shape[0], 1}, f32_bytes(scales)};
  }
  return result;
}

}  // namespace haq::model::test_data
