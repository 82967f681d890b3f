// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/base/file.h"
#include "engine/base/tensor.h"

namespace haq::model {

/// One tensor as a safetensors header describes it.
struct TensorInfo {
  std::string dtype_name;      ///< as written: "BF16", "I64", ...
  std::optional<DType> dtype;  ///< set when this program can read it
  std::vector<std::int64_t> shape;
  std::size_t begin = 0, end = 0;  ///< bytes from the start of the data section

  std::size_t bytes() const { return end - begin; }
};

/// "[64, 32]".
std::string to_string(const std::vector<std::int64_t>& shape);

/// The parsed and fully checked header of a safetensors file. Format: the safetensors README of
/// Hugging Face: u64 little-endian header length, JSON header, data.
struct SafetensorsHeader {
  static constexpr std::size_t kMaxHeaderBytes = 100'000'000;  ///< limit of the format

  std::unordered_map<std::string, TensorInfo> tensors;
  std::map<std::string, std::string> metadata;  ///< "__metadata__"
  std::size_t data_start = 0;                   ///< byte offset of the data section in the file

  /// Reads the header at the start of a whole file's bytes. Checked: lengths, JSON, duplicate
  /// names, every shape product against its byte range, ranges inside the file, no overlap, no
  /// hole, nothing after the last tensor. Throws kCorrupt / kLimit naming `what` and the tensor.
  static SafetensorsHeader parse(std::span<const std::byte> file, const std::string& what);
};

/// An open safetensors file: header checked, data memory-mapped. Immutable, shareable.
class SafetensorsFile {
 public:
  static std::shared_ptr<const SafetensorsFile> open(const std::filesystem::path& path);

  const SafetensorsHeader& header() const { return header_; }
  const std::shared_ptr<const MappedFile>& mapping() const { return mapping_; }
  std::span<const std::byte> data(const TensorInfo& tensor) const {
    return mapping_->bytes().subspan(header_.data_start + tensor.begin, tensor.bytes());
  }

 private:
  std::shared_ptr<const MappedFile> mapping_;
  SafetensorsHeader header_;
};

/// All tensors of a model folder: model.safetensors, or the shards that
/// model.safetensors.index.json lists. Immutable, shareable.
class TensorSet {
 public:
  struct Entry {
    const SafetensorsFile* file = nullptr;
    const TensorInfo* info = nullptr;
    std::span<const std::byte> data() const { return file->data(*info); }
  };

  /// Throws kNotFound when the folder holds no safetensors or a listed shard is missing, kCorrupt
  /// when the index and the shards disagree or a shard's name leaves the folder.
  static TensorSet open(const std::filesystem::path& folder);

  const Entry* find(const std::string& name) const;
  const std::unordered_map<std::string, Entry>& entries() const { return entries_; }
  const std::vector<std::shared_ptr<const SafetensorsFile>>& files() const { return files_; }
  /// Metadata value of the first file that has the key, or empty.
  std::string metadata(const std::string& key) const;

 private:
  void add_file(const std::filesystem::path& path);

  std::vector<std::shared_ptr<const SafetensorsFile>> files_;
  std::unordered_map<std::string, Entry> entries_;
};

}  // namespace haq::model
