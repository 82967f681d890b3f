// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "engine/base/progress.h"
#include "engine/model/config.h"
#include "engine/model/safetensors.h"

namespace haq::model {

class Checkpoint;

/// Every field of a configuration that decides what is computed, in one fixed textual form,
/// whichever spelling config.json used. Names, token ids and display fields are left out.
std::string canonical_config(const ModelConfig& config);

/// Hash of canonical_config and of all tensors in the order of their names (name, dtype, shape,
/// bytes); independent of sharding. Reads every byte. Throws kCancelled.
std::string hash_model(const ModelConfig& config, const TensorSet& tensors,
                       const ProgressCallback& progress, const CancelToken& cancel);

/// Which model recordings and plans belong to: Checkpoint::base_fingerprint(), but with a progress
/// where a 16-bit folder is read in full the first time. Throws kCancelled.
std::string base_fingerprint_of(const Checkpoint& checkpoint, const ProgressCallback& progress = {},
                                const CancelToken& cancel = {});

/// Remembers fingerprints between runs: one small JSON file, path -> (stamp, fingerprint). It is
/// only a cache: a file that cannot be read or written, or holds nonsense, is as good as an empty
/// one.
class FingerprintCache {
 public:
  explicit FingerprintCache(std::filesystem::path file) : file_(std::move(file)) {}
  /// The fingerprint stored for a folder under this stamp, or empty.
  std::string find(const std::filesystem::path& folder, const std::string& stamp) const;
  void store(const std::filesystem::path& folder, const std::string& stamp,
             const std::string& fingerprint) const;

 private:
  std::filesystem::path file_;
};

/// Names, sizes and modification times of files; a changed file changes it.
std::string stamp_of(const std::vector<std::filesystem::path>& files);

}  // namespace haq::model
