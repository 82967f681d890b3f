// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/support/quantized_folder.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "tests/support/tensor_file.h"

namespace haq::test {

namespace fs = std::filesystem;

namespace {

constexpr const char* kWeightSuffix = ".weight";

bool ends_with(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

nlohmann::json quantization_config(const std::vector<std::string>& ignored) {
  const nlohmann::json common = {{"num_bits", 8}, {"type", "int"}, {"symmetric", true}};
  nlohmann::json weights = common;
  weights.update({{"strategy", "channel"}, {"dynamic", false}, {"observer", "minmax"}});
  nlohmann::json activations = common;
  activations.update({{"strategy", "token"}, {"dynamic", true}});
  const nlohmann::json group = {{"targets", {"Linear"}},
                                {"format", "int-quantized"},
                                {"weights", weights},
                                {"input_activations", activations},
                                {"output_activations", nullptr}};
  return {{"quant_method", "compressed-tensors"},
          {"format", "int-quantized"},
          {"quantization_status", "compressed"},
          {"ignore", ignored},
          {"config_groups", {{"group_0", group}}}};
}

void quantize(const std::string& name, const TestTensor& tensor, TensorFile& out) {
  const std::int64_t rows = tensor.shape[0];
  const RoundedMatrix rounded = round_matrix(tensor.floats(), rows, tensor.shape[1]);
  out[name] = make_i8(tensor.shape, rounded.values);
  out[name + "_scale"] = make_f32({rows, 1}, rounded.scales);
}

}  // namespace

RoundedMatrix round_matrix(std::span<const float> weights, std::int64_t rows, std::int64_t cols) {
  RoundedMatrix result;
  result.values.reserve(weights.size());
  for (std::int64_t row = 0; row < rows; ++row) {
    const auto line =
        weights.subspan(static_cast<std::size_t>(row * cols), static_cast<std::size_t>(cols));
    float largest = 0;
    for (const float weight : line) largest = std::max(largest, std::abs(weight));
    const float scale = largest > 0 ? largest / 127.0F : 1.0F;
    result.scales.push_back(scale);
    for (const float weight : line) {
      const float quantum = std::clamp(std::nearbyint(weight / scale), -127.0F, 127.0F);
      result.values.push_back(static_cast<std::int8_t>(quantum));
    }
  }
  return result;
}

bool stays_16_bit(const std::string& tensor_name) {
  for (const char* part :
       {"embed_tokens.", "embed_positions.", "lm_head.", "mlp.gate.", "block_sparse_moe.gate.",
        "shared_expert_gate.", "project_in.", "project_out."}) {
    if (tensor_name.find(part) != std::string::npos) return true;
  }
  return false;
}

void write_quantized_folder(const fs::path& source, const fs::path& target) {
  fs::create_directories(target);
  TensorFile out;
  std::vector<std::string> ignored;
  for (const auto& [name, tensor] : read_tensor_folder(source)) {
    if (tensor.shape.size() > 2) {
      throw std::runtime_error(name + ": fused experts have no int-quantized layout");
    }
    const bool linear = tensor.shape.size() == 2 && ends_with(name, kWeightSuffix);
    if (linear && !stays_16_bit(name)) {
      quantize(name, tensor, out);
      continue;
    }
    if (linear && name.find("embed_") == std::string::npos) {
      ignored.push_back(name.substr(0, name.size() - std::string(kWeightSuffix).size()));
    }
    out[name] = tensor;
  }
  write_tensor_file(target / "model.safetensors", out);

  for (const fs::directory_entry& entry : fs::directory_iterator(source)) {
    const std::string name = entry.path().filename().string();
    const bool wanted = entry.path().extension() == ".json" && name != "config.json" &&
                        name != "cases.json" && name != "model.safetensors.index.json";
    if (wanted) fs::copy_file(entry.path(), target / name, fs::copy_options::overwrite_existing);
  }
  std::ifstream config_file(source / "config.json");
  nlohmann::ordered_json config = nlohmann::ordered_json::parse(config_file);
  config["quantization_config"] = quantization_config(ignored);
  std::ofstream(target / "config.json") << config.dump(2) << '\n';
}

}  // namespace haq::test
