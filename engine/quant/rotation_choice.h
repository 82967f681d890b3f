// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/quant/folder/work_folder.h"
#include "engine/quant/layers/layer_pipeline.h"

namespace haq::quant {

struct RotationRequest {
  Method method = Method::kHaq;
  RotateMode mode = RotateMode::kAuto;
  int seeds = 3;                 ///< how many rotations are tried
  std::uint64_t first_seed = 0;  ///< the others count on from it
};

/// Whether the model is rotated, and how that was decided.
struct RotationChoice {
  std::shared_ptr<const Rotation> rotation;  ///< null: none
  std::string reason;                        ///< why not, in words
  std::vector<RotationTrial> trials;
  std::vector<std::string> notices;
};

/// Decides once per run by search_rotation() on a few short pieces of `sequences`; the decision is
/// kept in `work`, so that a resumed run goes on with the same. Throws kUnsupported when a rotation
/// is demanded that the architecture does not allow or that is not exact, and what
/// search_rotation() throws.
RotationChoice choose_rotation(const RotationRequest& request,
                               const std::shared_ptr<const model::Checkpoint>& source,
                               const std::shared_ptr<device::Device>& device, ThreadPool& pool,
                               std::span<const std::vector<std::int32_t>> sequences,
                               const PipelineOptions& options, WorkFolder& work,
                               const ProgressCallback& progress, const CancelToken& cancel);

}  // namespace haq::quant
