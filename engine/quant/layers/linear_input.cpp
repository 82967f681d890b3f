// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/quant/layers/linear_input.h"

#include <utility>

#include "engine/model/modules.h"

namespace haq::quant {
namespace {

bool is_norm_group(GroupKind kind) {
  return kind == GroupKind::kAttentionInput || kind == GroupKind::kLatentQuery ||
         kind == GroupKind::kLatentKv || kind == GroupKind::kFfnInput;
}

}  // namespace

bool wants_smoothing(const LayerWork& work, const Group& group) {
  const LayerRecipe& recipe = work.recipe;
  return is_norm_group(group.kind) ? recipe.smooth_norm_groups : recipe.smooth_inner_groups;
}

const SmoothingOptions& smoothing_options(const LayerWork& work, const Group& group) {
  return is_norm_group(group.kind) ? work.recipe.norm_groups : work.recipe.inner_groups;
}

SmoothingNote note_of(const SmoothingChoice& choice) {
  return {choice.kind, choice.alpha, choice.threshold, {}};
}

SmoothingNote note_without(const LayerWork& work, const Group* group) {
  SmoothingNote note;
  if (group != nullptr && !group->exact && wants_smoothing(work, *group))
    note.reason = group->reason;
  return note;
}

std::vector<float> fold_group(LayerWork& work, const Group& group, std::span<const float> scale) {
  TransformedCheckpoint& model = *work.model;
  const auto shape =
      model::module_shape(work.config, group.source.role, group.source.layer, group.source.expert);
  const bool norm = shape && shape->is_vector();
  const auto weight = [&] { return model.vector(group.source.role, group.source.layer); };
  const std::vector<float> before = norm ? weight() : std::vector<float>();
  model.fold(group, scale);
  std::vector<float> factors(static_cast<std::size_t>(group.channels));
  for (std::size_t j = 0; j < factors.size(); ++j) {
    factors[j] = scale[group.ties.empty() ? j : static_cast<std::size_t>(group.ties[j])];
  }
  if (!norm) return factors;
  const std::vector<float> after = weight();
  for (std::size_t j = 0; j < factors.size(); ++j) {
    if (after[j] != 0) factors[j] = before[j] / after[j];
  }
  return factors;
}

void smooth_input(LayerWork& work, LinearInput& input) {
  const Group* group = input.group;
  if (group == nullptr || !group->exact || !wants_smoothing(work, *group)) {
    input.note = note_without(work, group);
    return;
  }
  const std::vector<LinearWeights> weights = read_linears(work, input.readers);
  SmoothingProblem problem;
  for (const LinearWeights& linear : weights) {
    problem.readers.push_back({view_of(linear), input.statistics.sample, 1});
  }
  problem.activation_max = input.statistics.channel_max;
  problem.ties = group->ties;
  problem.factors = group->factors;
  const SmoothingChoice choice =
      search_smoothing(problem, smoothing_options(work, *group), work.pool, work.monitor.cancel());
  input.note = note_of(choice);
  if (choice.kind == SmoothingKind::kNone) return;
  input.statistics.divide(fold_group(work, *group, choice.scale));
}

std::vector<ModuleResult> quantize_inputs(LayerWork& work, std::vector<LinearInput>& inputs) {
  std::vector<ModuleId> ids;
  std::vector<std::size_t> input_of;
  for (std::size_t index = 0; index < inputs.size(); ++index) {
    for (const ModuleId& id : inputs[index].readers) {
      ids.push_back(id);
      input_of.push_back(index);
    }
  }
  const std::vector<LinearWeights> weights = read_linears(work, ids);
  std::vector<std::optional<FactoredHessian>> hessians(inputs.size());
  if (work.recipe.solve) {
    work.pool.parallel_dynamic(static_cast<std::int64_t>(inputs.size()), [&](std::int64_t i, int) {
      LinearInput& input = inputs[static_cast<std::size_t>(i)];
      if (input.readers.empty()) return;
      work.monitor.check();
      hessians[static_cast<std::size_t>(i)].emplace(std::move(input.statistics.hessian),
                                                    work.recipe.solver,
                                                    work.name(input.readers.front()));
    });
  }
  std::vector<ModuleTask> tasks;
  for (std::size_t index = 0; index < ids.size(); ++index) {
    const LinearInput& input = inputs[input_of[index]];
    ModuleTask task;
    task.id = ids[index];
    task.weights = view_of(weights[index]);
    task.bias = weights[index].bias;
    const auto& hessian = hessians[input_of[index]];
    task.hessian = hessian ? &*hessian : nullptr;
    task.sample = input.statistics.sample;
    task.source_sample = input.source_sample;
    task.tokens = input.statistics.tokens;
    task.smoothing = input.note;
    tasks.push_back(task);
  }
  return quantize_modules(work, tasks);
}

}  // namespace haq::quant
