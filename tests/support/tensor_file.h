// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace haq::test {

/// A tensor of a safetensors file, held in memory. Written apart from the engine's reader, so that
/// the two check each other.
struct TestTensor {
  std::string dtype;  ///< "F32", "BF16", "F16", "I32", "I8"
  std::vector<std::int64_t> shape;
  std::vector<std::byte> bytes;

  std::size_t elements() const;
  std::vector<float> floats() const;       ///< F32, BF16 or F16, widened
  std::vector<std::int32_t> ints() const;  ///< I32
};

using TensorFile = std::map<std::string, TestTensor>;

TestTensor make_f32(std::vector<std::int64_t> shape, const std::vector<float>& values);
TestTensor make_i8(std::vector<std::int64_t> shape, const std::vector<std::int8_t>& values);

/// Throws std::runtime_error when the file is not what the tests expect.
TensorFile read_tensor_file(const std::filesystem::path& path);
/// Every *.safetensors file of a folder together.
TensorFile read_tensor_folder(const std::filesystem::path& folder);
void write_tensor_file(const std::filesystem::path& path, const TensorFile& tensors);

}  // namespace haq::test
