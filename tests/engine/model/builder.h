// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/base/error.h"

/// Small model folders for tests, made in memory so that one thing in them can be wrong.
namespace haq::model::test_data {

struct Tensor {
  std::string dtype;
  std::vector<std::int64_t> shape;
  std::string bytes;
};
using Tensors = std::map<std::string, Tensor>;

/// A header and data joined into a safetensors file; `header` as it is, right or wrong.
std::string join(const std::string& header, const std::string& data);
/// A correct safetensors file.
std::string safetensors(const Tensors& tensors,
                        const std::map<std::string, std::string>& metadata = {});

/// All tensors and the config of a reference model.
Tensors golden_tensors(const std::string& model);
nlohmann::json golden_config(const std::string& model);

void write_file(const std::filesystem::path& path, const std::string& text);
/// config.json and model.safetensors.
void write_model(const std::filesystem::path& folder, const nlohmann::json& config,
                 const Tensors& tensors, const std::map<std::string, std::string>& metadata = {});

/// bf16 bytes of a value, repeated.
std::string bf16_bytes(float value, std::size_t count);
std::string f32_bytes(const std::vector<float>& values);

/// The quantization_config that llm-compressor and this program write.
nlohmann::json w8a8_config();
/// Turns every attention and expert projection into int8 with one scale per row (plain rounding).
Tensors quantized(const Tensors& tensors);

}  // namespace haq::model::test_data
