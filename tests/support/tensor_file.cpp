// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/support/tensor_file.h"

#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "engine/base/tensor.h"

namespace haq::test {

namespace fs = std::filesystem;

namespace {

std::size_t element_size(const std::string& dtype) {
  if (dtype == "F32" || dtype == "I32") return 4;
  if (dtype == "BF16" || dtype == "F16") return 2;
  if (dtype == "I8") return 1;
  throw std::runtime_error("test tensor of type " + dtype);
}

template <typename T>
TestTensor make(const char* dtype, std::vector<std::int64_t> shape, const std::vector<T>& values) {
  TestTensor tensor{dtype, std::move(shape), std::vector<std::byte>(values.size() * sizeof(T))};
  if (tensor.elements() != values.size()) throw std::runtime_error("test tensor: wrong shape");
  std::memcpy(tensor.bytes.data(), values.data(), tensor.bytes.size());
  return tensor;
}

}  // namespace

std::size_t TestTensor::elements() const {
  std::size_t count = 1;
  for (const std::int64_t extent : shape) count *= static_cast<std::size_t>(extent);
  return count;
}

std::vector<float> TestTensor::floats() const {
  std::vector<float> values(elements());
  if (dtype == "F32") {
    std::memcpy(values.data(), bytes.data(), bytes.size());
    return values;
  }
  if (dtype != "BF16" && dtype != "F16") throw std::runtime_error("not a float tensor: " + dtype);
  for (std::size_t i = 0; i < values.size(); ++i) {
    std::uint16_t bits = 0;
    std::memcpy(&bits, bytes.data() + 2 * i, 2);
    values[i] = dtype == "BF16" ? to_float(BFloat16{bits}) : half_to_float(bits);
  }
  return values;
}

std::vector<std::int32_t> TestTensor::ints() const {
  if (dtype != "I32") throw std::runtime_error("not an I32 tensor: " + dtype);
  std::vector<std::int32_t> values(elements());
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

TestTensor make_f32(std::vector<std::int64_t> shape, const std::vector<float>& values) {
  return make("F32", std::move(shape), values);
}

TestTensor make_i8(std::vector<std::int64_t> shape, const std::vector<std::int8_t>& values) {
  return make("I8", std::move(shape), values);
}

TensorFile read_tensor_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::uint64_t header_bytes = 0;
  in.read(reinterpret_cast<char*>(&header_bytes), sizeof(header_bytes));
  if (!in || header_bytes > fs::file_size(path))
    throw std::runtime_error("cannot read " + path.string());
  std::string header(header_bytes, ' ');
  in.read(header.data(), static_cast<std::streamsize>(header_bytes));
  TensorFile tensors;
  const nlohmann::json entries = nlohmann::json::parse(header);
  for (const auto& [name, entry] : entries.items()) {
    if (name == "__metadata__") continue;
    TestTensor tensor{entry.at("dtype"), entry.at("shape"), {}};
    tensor.bytes.resize(tensor.elements() * element_size(tensor.dtype));
    in.seekg(static_cast<std::streamoff>(8 + header_bytes +
                                         entry.at("data_offsets").at(0).get<std::uint64_t>()));
    in.read(reinterpret_cast<char*>(tensor.bytes.data()),
            static_cast<std::streamsize>(tensor.bytes.size()));
    if (!in) throw std::runtime_error(path.string() + " ends within " + name);
    tensors.emplace(name, std::move(tensor));
  }
  return tensors;
}

TensorFile read_tensor_folder(const fs::path& folder) {
  TensorFile all;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() != ".safetensors") continue;
    if (entry.path().filename().string().rfind("model", 0) != 0) continue;  // reference vectors
    all.merge(read_tensor_file(entry.path()));
  }
  return all;
}

void write_tensor_file(const fs::path& path, const TensorFile& tensors) {
  nlohmann::json header = {{"__metadata__", {{"format", "pt"}}}};
  std::uint64_t offset = 0;
  for (const auto& [name, tensor] : tensors) {
    header[name] = {{"dtype", tensor.dtype},
                    {"shape", tensor.shape},
                    {"data_offsets", {offset, offset + tensor.bytes.size()}}};
    offset += tensor.bytes.size();
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');  // tensor data starts at a multiple of 8
  const std::uint64_t header_bytes = text.size();
  std::ofstream out(path, std::ios::binary);
  out.write(reinterpret_cast<const char*>(&header_bytes), sizeof(header_bytes));
  out.write(text.data(), static_cast<std::streamsize>(text.size()));
  for (const auto& [name, tensor] : tensors) {
    out.write(reinterpret_cast<const char*>(tensor.bytes.data()),
              static_cast<std::streamsize>(tensor.bytes.size()));
  }
  out.close();
  if (!out) throw std::runtime_error("cannot write " + path.string());
}

}  // namespace haq::test
