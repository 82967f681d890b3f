// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/base/progress.h"
#include "engine/experts/plan.h"
#include "engine/experts/trace.h"

namespace haq::experts {

struct PlacementOptions {
  int budget = 0;  ///< experts
  /// two-stage, frequency, frequency-layer, uniform, layer-optimum
  std::string strategy = "two-stage";
  /// Share of the budget that stage 1 may use, [0, 1]; absent: chosen on the last `validation`
  /// share of the training paths (whole prompts), never on held-out ones.
  std::optional<double> stage1_share;
  double validation = 0.2;
  int run_layers = 2;  ///< a path: the experts of so many consecutive layers
  double covered_share =
      1.0;  ///< a path counts as covered when this share of it is resident, (0, 1]
};

const std::vector<std::string>& placement_strategies();

/// Computes a plan from recorded paths. Deterministic; ties to the lower (layer, expert). Throws
/// kInvalidArgument naming the option and its range, kCancelled. Seconds for 48 x 128 experts and a
/// million tokens (lazy greedy). `paths` may come from several recordings of the same shape.
Plan place(std::span<const Trace* const> paths, const PlacementOptions& options,
           const ProgressCallback& progress = {}, const CancelToken& cancel = {});

/// How well a fixed set does on paths: shares of choices that are resident.
struct PlanScore {
  std::int64_t accesses = 0;  ///< (token, layer) steps' distinct experts, as in a replay
  double hit_rate = 0;
  double hit_low = 0, hit_high = 0;  ///< 95 %, bootstrap over prompts
  std::vector<double> per_layer_hit_rate;
  double per_layer_std = 0;
  double path_coverage = 0;  ///< share of the tokens' paths (run_layers long) that are covered
};
PlanScore score_plan(const Plan& plan, std::span<const Trace* const> paths, int run_layers,
                     double covered_share);

}  // namespace haq::experts
