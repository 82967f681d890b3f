// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/base/file.h"

namespace haq::profile {

/// The parts of a GGUF file that an importance matrix needs: its text entries, and where its
/// tensors lie. Format: the GGUF specification of the ggml project, versions 2 and 3.
class GgufFile {
 public:
  struct Tensor {
    std::vector<std::uint64_t> shape;  ///< fastest dimension first
    std::uint32_t type = 0;            ///< 0: float32
    std::uint64_t offset = 0;          ///< from the beginning of the data
    std::uint64_t count = 1;           ///< values
  };

  /// Untrusted: kCorrupt naming file and byte or tensor (also one of float32 that reaches beyond
  /// the end), kUnsupported for another version, kLimit.
  static GgufFile open(const std::filesystem::path& path);

  /// A text entry; empty when there is none of that name.
  std::string text(const std::string& key) const;
  const std::map<std::string, Tensor>& tensors() const { return tensors_; }
  /// The values of a float32 tensor. kUnsupported for another type, kLimit for more than `most`
  /// values.
  std::vector<float> values(const std::string& name, std::size_t most) const;

 private:
  std::shared_ptr<const MappedFile> file_;
  std::map<std::string, std::string> texts_;
  std::map<std::string, Tensor> tensors_;
  std::size_t data_ = 0;  ///< where tensor data begins
};

}  // namespace haq::profile
