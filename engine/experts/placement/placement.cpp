// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/experts/placement/placement.h"

#include <algorithm>
#include <numeric>

#include "engine/base/error.h"
#include "engine/experts/placement/path_parts.h"
#include "engine/experts/placement/two_stage.h"

namespace haq::experts {
namespace {

constexpr int kMaxRunLayers = 8;

void check_range(double value, bool good, const char* option, const char* range) {
  if (!good) fail(ErrorCode::kInvalidArgument, "{} is {}, expected {}", option, value, range);
}

std::vector<std::int64_t> uses_by_tokens(std::span<const Trace* const> paths, int total) {
  std::vector<std::int64_t> uses(static_cast<std::size_t>(total), 0);
  for (const Trace* trace : paths) {
    const std::vector<std::int64_t> more = count_uses(*trace, 0, trace->tokens());
    std::transform(uses.begin(), uses.end(), more.begin(), uses.begin(), std::plus<>());
  }
  return uses;
}

std::vector<std::int64_t> uses_by_steps(std::span<const Trace* const> paths, int total) {
  std::vector<std::int64_t> uses(static_cast<std::size_t>(total), 0);
  for (const PathPart& part : path_parts(paths)) {
    for (const auto& [expert, count] : count_accesses(part).uses) {
      uses[static_cast<std::size_t>(expert)] += count;
    }
  }
  return uses;
}

/// One expert of each layer in turn, so that the front of the plan is a plan for a smaller budget.
std::vector<ExpertIndex> in_turns(const ExpertShape& shape, int budget,
                                  const std::vector<std::int64_t>& uses) {
  std::vector<std::vector<ExpertIndex>> layers;
  for (int layer = 0; layer < shape.layers; ++layer) {
    std::vector<ExpertIndex> order(static_cast<std::size_t>(shape.experts));
    std::iota(order.begin(), order.end(), shape.index(layer, 0));
    std::stable_sort(order.begin(), order.end(), [&](ExpertIndex a, ExpertIndex b) {
      return uses[static_cast<std::size_t>(a)] > uses[static_cast<std::size_t>(b)];
    });
    layers.push_back(std::move(order));
  }
  std::vector<ExpertIndex> chosen;
  for (std::size_t turn = 0; static_cast<int>(chosen.size()) < budget; ++turn) {
    for (int layer = 0; layer < shape.layers && static_cast<int>(chosen.size()) < budget; ++layer) {
      chosen.push_back(layers[static_cast<std::size_t>(layer)][turn]);
    }
  }
  return chosen;
}

}  // namespace

const std::vector<std::string>& placement_strategies() {
  static const std::vector<std::string> kStrategies = {"two-stage", "frequency", "frequency-layer",
                                                       "uniform", "layer-optimum"};
  return kStrategies;
}

void check_placement(std::span<const Trace* const> paths, const PlacementOptions& options) {
  const std::vector<std::string>& known = placement_strategies();
  if (std::find(known.begin(), known.end(), options.strategy) == known.end()) {
    std::string names;
    for (const std::string& name : known) names += (names.empty() ? "" : ", ") + name;
    fail(ErrorCode::kInvalidArgument, "strategy is \"{}\", expected one of {}", options.strategy,
         names);
  }
  if (paths.empty()) {
    fail(ErrorCode::kInvalidArgument, "no recorded paths to make a plan from");
  }
  const ExpertShape& shape = paths.front()->shape;
  for (const Trace* trace : paths) {
    if (trace->shape != shape) {
      fail(ErrorCode::kInvalidArgument,
           "recordings differ in shape: {} layers of {} experts, top-{}, and {} of {}, top-{}",
           shape.layers, shape.experts, shape.top_k, trace->shape.layers, trace->shape.experts,
           trace->shape.top_k);
    }
    if (trace->tokens() == 0) fail(ErrorCode::kInvalidArgument, "a recording has no tokens");
  }
  check_range(options.budget, options.budget >= 0 && options.budget <= shape.total(), "budget",
              fmt::format("0 to {} experts", shape.total()).c_str());
  if (options.stage1_share) {
    const double share = *options.stage1_share;
    check_range(share, share >= 0 && share <= 1, "stage1_share", "0 to 1");
  }
  check_range(options.validation, options.validation > 0 && options.validation <= 0.5, "validation",
              "above 0, at most 0.5");
  check_range(options.covered_share, options.covered_share > 0 && options.covered_share <= 1,
              "covered_share", "above 0, at most 1");
  check_range(options.run_layers, options.run_layers >= 1 && options.run_layers <= kMaxRunLayers,
              "run_layers", fmt::format("1 to {}", kMaxRunLayers).c_str());
  if (options.weighting != "auto" && options.weighting != "tokens" &&
      options.weighting != "prompts") {
    fail(ErrorCode::kInvalidArgument, "weighting is \"{}\", expected auto, tokens or prompts",
         options.weighting);
  }
}

Plan place(std::span<const Trace* const> paths, const PlacementOptions& options,
           const ProgressCallback& progress, const CancelToken& cancel) {
  check_placement(paths, options);
  if (options.strategy == "two-stage") {
    return TwoStagePlacer(paths, options, progress, cancel).plan(options.budget, cancel);
  }
  Plan plan;
  plan.shape = paths.front()->shape;
  plan.budget_experts = options.budget;
  plan.strategy = options.strategy;
  plan.scores = nlohmann::ordered_json::object();
  const int total = plan.shape.total();
  std::vector<ExpertIndex> chosen;
  if (options.strategy == "frequency") {
    chosen = most_used(plan.shape, uses_by_tokens(paths, total), options.budget, false);
  } else if (options.strategy == "frequency-layer") {
    chosen = in_turns(plan.shape, options.budget, uses_by_tokens(paths, total));
  } else if (options.strategy == "layer-optimum") {
    chosen = most_used(plan.shape, uses_by_steps(paths, total), options.budget, false);
  } else {
    chosen = in_turns(plan.shape, options.budget,
                      std::vector<std::int64_t>(static_cast<std::size_t>(total), 0));
  }
  for (const ExpertIndex expert : chosen) {
    plan.pinned.push_back({plan.shape.layer_of(expert), plan.shape.expert_of(expert), 1});
  }
  return plan;
}

}  // namespace haq::experts
