// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/experts/placement/judged_plan.h"

namespace haq::experts {

using Json = nlohmann::ordered_json;

Json to_json(const PlanScore& score, bool layers) {
  Json json = {{"tokens", score.tokens},
               {"accesses", score.accesses},
               {"hit_rate", score.hit_rate},
               {"ci95", {score.hit_low, score.hit_high}},
               {"per_layer_std", score.per_layer_std},
               {"coverage", score.path_coverage}};
  if (layers) json["per_layer_hit_rate"] = score.per_layer_hit_rate;
  return json;
}

JudgedPlan place_and_judge(std::span<const Trace* const> train,
                           std::span<const Trace* const> held_out, const PlacementOptions& options,
                           const ProgressCallback& progress, const CancelToken& cancel) {
  JudgedPlan judged;
  judged.plan = place(train, options, progress, cancel);
  const auto score = [&](const Plan& plan, std::span<const Trace* const> paths) {
    cancel.check();
    return score_plan(plan, paths, options.run_layers, options.covered_share);
  };
  judged.train = score(judged.plan, train);
  if (!held_out.empty()) judged.held_out = score(judged.plan, held_out);
  const std::span<const Trace* const> counted = held_out.empty() ? train : held_out;
  Json compared = Json::array();
  for (const char* strategy : {"frequency", "uniform"}) {
    if (options.strategy == strategy) continue;
    PlacementOptions other = options;
    other.strategy = strategy;
    const Plan rival = place(train, other, {}, cancel);
    judged.compared.push_back(
        {strategy, score(rival, counted), compare_plans(judged.plan, rival, counted)});
    const JudgedPlan::Rival& row = judged.compared.back();
    Json json = {{"strategy", strategy}, {"in_sample", held_out.empty()}};
    json.update(to_json(row.score, false));
    json["difference"] = {{"hit_rate", row.difference.mean},
                          {"ci95", {row.difference.low, row.difference.high}}};
    compared.push_back(std::move(json));
  }
  Json& scores = judged.plan.scores;
  scores["run_layers"] = options.run_layers;
  scores["covered_share"] = options.covered_share;
  scores["coverage"] = judged.train.path_coverage;
  scores["train"] = to_json(judged.train, false);
  scores["held_out"] = judged.held_out ? to_json(*judged.held_out, true) : Json();
  scores["compared"] = std::move(compared);
  return judged;
}

}  // namespace haq::experts
