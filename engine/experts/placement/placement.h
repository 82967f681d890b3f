// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/base/progress.h"
#include "engine/experts/placement/plan.h"
#include "engine/experts/trace.h"

namespace haq::experts {

/// two-stage: stage 1 takes experts by greedy maximum coverage of recorded paths (path_cover.h),
///   stage 2 gives what is left, one by one, to the layer with the lowest expected hit rate.
/// frequency: the experts most often chosen, over all layers.
/// frequency-layer: each layer's quota (shape.h) of its most often chosen ones.
/// uniform: each layer's quota, in the order of their numbers: the paths are not looked at.
/// layer-optimum: the experts that most steps needed. No other set has more hits on the training
///   paths when replayed, neither in all nor, for as many slots as it gives a layer, in that layer.
///   It differs from frequency only where a step holds several tokens (prefill): an expert that
///   many tokens of one step chose counts once.
const std::vector<std::string>& placement_strategies();

struct PlacementOptions {
  int budget = 0;  ///< experts, 0 to shape.total()
  std::string strategy = "two-stage";
  /// two-stage: share of the budget that stage 1 may use, [0, 1]; absent: chosen on the last
  /// `validation` share of the training paths (whole prompts), never on held-out ones.
  std::optional<double> stage1_share;
  double validation = 0.2;  ///< (0, 0.5]
  /// Whether every token counts the same or every prompt, whose sums then do not depend on its
  /// length; "auto": chosen with the share.
  std::string weighting = "auto";  ///< auto, tokens, prompts
  int run_layers = 2;              ///< a path: the experts of so many consecutive layers, 1 to 8
  /// A path counts as covered when this share of it is resident, (0, 1]; with less it counts in
  /// proportion. With 1 stage 1 is plain frequency of use.
  double covered_share = 0.75;
};

/// What place() checks before it computes anything.
void check_placement(std::span<const Trace* const> paths, const PlacementOptions& options);

/// Computes a plan from recorded paths. Deterministic; ties to the lower (layer, expert). Throws
/// kInvalidArgument naming the option and its range, or recordings of different shapes; kCancelled.
/// Seconds for 48 x 128 experts and a million tokens. `paths` may come from several recordings of
/// the same shape. Plan::scores says what was chosen and how the candidates did on the validation
/// part; its names of the model stay empty.
///
/// The choice on the validation part: among all candidates (shares in tenths, both weightings) the
/// one with the smallest standard deviation between layers whose hit rate is within one standard
/// error of the best one's (Breiman, Friedman, Olshen, Stone, Classification and Regression Trees,
/// 1984); the error is that of the difference, by bootstrap over prompts.
Plan place(std::span<const Trace* const> paths, const PlacementOptions& options,
           const ProgressCallback& progress = {}, const CancelToken& cancel = {});

/// How well a fixed set does on paths: shares of accesses that are resident.
struct PlanScore {
  std::int64_t tokens = 0;
  std::int64_t accesses = 0;  ///< (token, layer) steps' distinct experts, as in a replay
  double hit_rate = 0;
  double hit_low = 0, hit_high = 0;  ///< 95 %, bootstrap over prompts (blocks when they are few)
  std::vector<double> per_layer_hit_rate;
  double per_layer_std = 0;  ///< population standard deviation between layers
  double path_coverage = 0;  ///< share of the tokens' paths (run_layers long) that are covered
};
PlanScore score_plan(const Plan& plan, std::span<const Trace* const> paths, int run_layers,
                     double covered_share);

/// Hit rate of one plan less that of another on the same paths, with the 95 % interval of the
/// difference (bootstrap over prompts).
struct PlanDifference {
  double mean = 0, low = 0, high = 0;
};
PlanDifference compare_plans(const Plan& plan, const Plan& other,
                             std::span<const Trace* const> paths);

}  // namespace haq::experts
