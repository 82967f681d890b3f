// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/experts/placement/placement.h"

namespace haq::experts {

/// A plan beside plans of other strategies for the same budget and paths.
struct JudgedPlan {
  struct Rival {
    std::string strategy;
    PlanScore score;            ///< on the held-out paths, without any on the training paths
    PlanDifference difference;  ///< hit rate of the plan less the rival's, on the same paths
  };
  Plan plan;  ///< scores: those of place(), coverage, train, held_out (or null) and compared
  PlanScore train;
  std::optional<PlanScore> held_out;
  std::vector<Rival> compared;  ///< frequency and uniform, without the plan's own strategy
};

/// Makes a plan from `train` and scores it on both parts. Errors as place(); kInvalidArgument for
/// held-out paths of another shape. `held_out` may be empty.
JudgedPlan place_and_judge(std::span<const Trace* const> train,
                           std::span<const Trace* const> held_out, const PlacementOptions& options,
                           const ProgressCallback& progress = {}, const CancelToken& cancel = {});

/// tokens, accesses, hit_rate, ci95, per_layer_std, coverage; `layers`: per_layer_hit_rate, too.
nlohmann::ordered_json to_json(const PlanScore& score, bool layers);

}  // namespace haq::experts
