// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <string>

#include "engine/model/architecture.h"
#include "engine/model/ignore_list.h"
#include "engine/model/modules.h"
#include "engine/model/safetensors.h"

namespace haq::model {

/// A model in a Hugging Face folder. Opening checks every tensor's presence, type and shape; weight
/// data is only touched by the accessors. Immutable, shareable.
class FolderCheckpoint final : public Checkpoint {
 public:
  explicit FolderCheckpoint(const std::filesystem::path& folder);

  LinearWeights linear(Role role, int layer, int expert, DType f16_target) const override;
  std::vector<float> vector(Role role, int layer) const override;
  std::vector<float> norm_bias(Role role, int layer) const override;
  bool has(Role role, int layer, int expert) const override;
  std::string module_name(Role role, int layer, int expert) const override;
  std::string quantized_name(Role role, int layer, int expert) const override;
  std::string fingerprint(const ProgressCallback& progress,
                          const CancelToken& cancel) const override;
  std::string base_fingerprint() const override;

 private:
  /// Where a module lies in the files.
  struct Place {
    Layout layout = Layout::kPlain;
    std::string module;                       ///< name of the module
    std::string tensor;                       ///< name of its weight tensor
    std::string bias;                         ///< name its bias tensor has, if it has one
    const TensorSet::Entry* entry = nullptr;  ///< of the weight; null when absent
  };

  void choose_prefix();
  void check_module(const ModuleShape& shape);
  void check_weight(const ModuleShape& shape, const Place& place) const;
  void check_quantized(const ModuleShape& shape, const Place& place) const;
  void check_bias(const ModuleShape& shape, const Place& place) const;
  void check_head_copy() const;

  ModuleShape shape_of(Role role, int layer, int expert) const;
  Place place_of(const ModuleShape& shape) const;
  std::vector<float> finite(std::vector<float> values, const std::string& tensor) const;
  std::vector<float> bias_of(const ModuleShape& shape, const Place& place) const;
  std::vector<float> scale_of(const Place& place) const;

  const Architecture* architecture_ = nullptr;
  std::string prefix_;
  TensorSet tensors_;
  std::unique_ptr<IgnoreList> ignore_;
};

}  // namespace haq::model
