// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/base/progress.h"
#include "engine/model/safetensors.h"
#include "engine/quant/folder/safetensors_writer.h"

namespace haq::quant {

/// How the layer files become the model's weight files. Made once, when all layers are there, and
/// kept on disk: layer files may then go as soon as the shards that hold their tensors are
/// complete.
struct ShardPlan {
  struct Tensor {
    TensorSpec spec;
    int layer = -1;  ///< in whose file it lies until the shard is complete
  };
  struct Shard {
    std::string file;
    std::vector<Tensor> tensors;  ///< in file order
    std::uint64_t bytes() const;  ///< of the tensors
  };
  using LayerFiles = std::map<int, std::shared_ptr<const model::SafetensorsFile>>;

  std::map<std::string, std::string> metadata;  ///< of every shard
  std::vector<Shard> shards;
  std::map<int, std::string> reports;  ///< of each layer, as JSON text

  /// Fills shards in the order of the layers, globals first: a layer stays together where it fits
  /// into a shard at all, else it is cut between tensors. A tensor larger than `shard_bytes` has a
  /// shard to itself.
  static ShardPlan make(const LayerFiles& layers, std::map<std::string, std::string> metadata,
                        std::uint64_t shard_bytes);
  /// Untrusted. Throws kNotFound, kCorrupt naming the field.
  static ShardPlan read(const std::filesystem::path& path);
  void write(const std::filesystem::path& path) const;

  std::uint64_t bytes() const;
  /// model.safetensors.index.json; empty for a single file, which needs none.
  std::string index() const;
  /// Whether `path` is this shard, whole, of the run in `metadata`; null when not.
  std::shared_ptr<const model::SafetensorsFile> open_complete(const std::filesystem::path& folder,
                                                              const Shard& shard) const;
};

/// Streams a shard from the layer files that `open` gives. `written` is called with the bytes of
/// each piece. Throws kNotFound when a layer file is missing, kCorrupt when it holds other tensors
/// than planned, kNoSpace, kCancelled.
void write_shard(const ShardPlan& plan, const ShardPlan::Shard& shard,
                 const std::filesystem::path& folder, const std::filesystem::path& staging,
                 const std::function<std::shared_ptr<const model::SafetensorsFile>(int)>& open,
                 const std::function<void(std::uint64_t)>& written, const CancelToken& cancel);

}  // namespace haq::quant
