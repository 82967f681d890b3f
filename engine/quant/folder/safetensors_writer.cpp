// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/quant/folder/safetensors_writer.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>

#include "engine/base/error.h"

namespace haq::quant {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kAlignment = 64;
constexpr std::uint64_t kLengthBytes = 8;
constexpr const char* kHint = "free space on this disk, then go on with --resume";

/// The file's bytes up to the data section, whose start is aligned by spaces behind the JSON, as
/// the format provides.
std::string make_header(const std::vector<TensorSpec>& tensors,
                        const std::map<std::string, std::string>& metadata,
                        std::uint64_t& data_bytes) {
  // The container itself is filled: the JSON class looks for equal keys in linear time.
  nlohmann::ordered_json::object_t json;
  if (!metadata.empty()) json.emplace_back("__metadata__", metadata);
  std::set<std::string> names;
  data_bytes = 0;
  for (const TensorSpec& tensor : tensors) {
    if (!names.insert(tensor.name).second) {
      fail(ErrorCode::kInternal, "tensor \"{}\" is given twice", tensor.name);
    }
    const std::uint64_t end = data_bytes + tensor.bytes();
    nlohmann::ordered_json entry;
    entry["dtype"] = haq::to_string(tensor.dtype);
    entry["shape"] = tensor.shape;
    entry["data_offsets"] = {data_bytes, end};
    json.emplace_back(tensor.name, std::move(entry));
    data_bytes = end;
  }
  std::string text = nlohmann::ordered_json(std::move(json)).dump();
  text.append((kAlignment - (kLengthBytes + text.size()) % kAlignment) % kAlignment, ' ');
  const std::uint64_t length = text.size();
  std::string header(kLengthBytes, '\0');
  std::memcpy(header.data(), &length, kLengthBytes);
  return header + text;
}

}  // namespace

std::uint64_t TensorSpec::bytes() const {
  std::uint64_t count = size_of(dtype);
  for (const std::int64_t size : shape) {
    if (size < 1) {
      fail(ErrorCode::kInvalidArgument, "tensor \"{}\" has a size of {}, expected at least 1", name,
           size);
    }
    if (__builtin_mul_overflow(count, static_cast<std::uint64_t>(size), &count)) {
      fail(ErrorCode::kLimit, "tensor \"{}\": its shape overflows", name);
    }
  }
  return count;
}

std::vector<TensorSpec> in_file_order(std::vector<TensorSpec> tensors) {
  const auto rank = [](const TensorSpec& tensor) {
    constexpr std::size_t kFirst = std::numeric_limits<std::size_t>::max();
    return tensor.bytes() % kAlignment == 0 ? kFirst : size_of(tensor.dtype);
  };
  std::stable_sort(tensors.begin(), tensors.end(),
                   [&](const TensorSpec& a, const TensorSpec& b) { return rank(a) > rank(b); });
  return tensors;
}

void check_space(const fs::path& folder, std::uint64_t bytes, const std::string& what) {
  std::error_code error;
  const fs::space_info space = fs::space(folder, error);
  if (error || space.available >= bytes) return;
  throw Error(ErrorCode::kNoSpace,
              fmt::format("{}: the disk is full: {} bytes are needed, {} are free", what, bytes,
                          space.available),
              kHint);
}

SafetensorsWriter::SafetensorsWriter(fs::path path, const fs::path& staging,
                                     const std::vector<TensorSpec>& tensors,
                                     const std::map<std::string, std::string>& metadata)
    : path_(std::move(path)) {
  std::uint64_t data_bytes = 0;
  const std::string header = make_header(tensors, metadata, data_bytes);
  file_bytes_ = header.size() + data_bytes;
  check_space(staging.empty() ? path_.parent_path() : staging, file_bytes_, path_.string());
  file_.emplace(path_, staging);
  write(std::as_bytes(std::span<const char>(header.data(), header.size())));
}

void SafetensorsWriter::fail_no_space() const {
  throw Error(ErrorCode::kNoSpace,
              fmt::format("{}: the disk is full: {} bytes are needed, {} could be written",
                          path_.string(), file_bytes_, written_),
              kHint);
}

void SafetensorsWriter::write(std::span<const std::byte> bytes) {
  try {
    file_->write(bytes);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kNoSpace) fail_no_space();
    throw;
  }
  written_ += bytes.size();
}

void SafetensorsWriter::commit() {
  if (written_ != file_bytes_) {
    fail(ErrorCode::kInternal, "{}: {} bytes written, expected {}", path_.string(), written_,
         file_bytes_);
  }
  try {
    file_->commit();
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kNoSpace) fail_no_space();
    throw;
  }
}

}  // namespace haq::quant
