// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/base/file.h"
#include "engine/base/tensor.h"

namespace haq::quant {

/// What a safetensors header says about one tensor.
struct TensorSpec {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<std::int64_t> shape;

  /// Throws kLimit when the product overflows, kInvalidArgument for a size below 1.
  std::uint64_t bytes() const;
  friend bool operator==(const TensorSpec&, const TensorSpec&) = default;
};

/// The order in which a file holds its tensors: those of a multiple of 64 bytes first, then by
/// falling element size; within these classes as given. The format allows no holes, so this is what
/// puts nearly every tensor on a 64-byte boundary and all on one of their element size: a reader
/// can use the mapped bytes in place.
std::vector<TensorSpec> in_file_order(std::vector<TensorSpec> tensors);

/// Streams one safetensors file (format: the safetensors README of Hugging Face); it appears under
/// its name, whole and synced, with commit(), or not at all. The same tensors and metadata give the
/// same bytes. One thread at a time.
class SafetensorsWriter {
 public:
  /// `tensors` in file order, names unique. `staging`: see AtomicFile. Throws kNoSpace with the
  /// numbers when the disk has less room than the file needs, kInternal for a name given twice.
  SafetensorsWriter(std::filesystem::path path, const std::filesystem::path& staging,
                    const std::vector<TensorSpec>& tensors,
                    const std::map<std::string, std::string>& metadata);

  std::uint64_t file_bytes() const { return file_bytes_; }
  /// The next bytes of the data section: the tensors' bytes, one after the other.
  void write(std::span<const std::byte> bytes);
  /// Throws kInternal unless exactly the announced bytes were written.
  void commit();

 private:
  [[noreturn]] void fail_no_space() const;

  std::filesystem::path path_;
  std::uint64_t file_bytes_ = 0, written_ = 0;
  std::optional<AtomicFile> file_;
};

/// Throws kNoSpace, with the bytes needed and free, when the disk of `folder` has less than `bytes`
/// left. A disk that does not tell passes.
void check_space(const std::filesystem::path& folder, std::uint64_t bytes, const std::string& what);

}  // namespace haq::quant
