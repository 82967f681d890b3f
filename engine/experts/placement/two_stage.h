// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <memory>
#include <span>

#include "engine/base/progress.h"
#include "engine/experts/placement/placement.h"

namespace haq::experts {

/// Two-stage placement that learns from paths once and then plans for any budget; see place().
/// plan() may be called from several threads.
class TwoStagePlacer {
 public:
  /// `options.budget` is the largest budget that will be asked for; strategy is not looked at. The
  /// paths must outlive the object. Throws as place() does.
  TwoStagePlacer(std::span<const Trace* const> paths, const PlacementOptions& options,
                 const ProgressCallback& progress = {}, const CancelToken& cancel = {});
  ~TwoStagePlacer();
  /// kInvalidArgument for a budget beyond the largest one.
  Plan plan(int budget, const CancelToken& cancel = {}) const;

 private:
  struct Impl;
  std::unique_ptr<const Impl> impl_;
};

}  // namespace haq::experts
