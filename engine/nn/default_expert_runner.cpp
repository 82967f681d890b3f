// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/nn/default_expert_runner.h"

#include "engine/base/error.h"
#include "engine/nn/expert_batches.h"

namespace haq::nn {
void DefaultExpertRunner::run(const RoutedStep& step, device::ConstRows x, device::Rows slots) {
  const std::vector<device::FfnSpec>& experts =
      layers_[static_cast<std::size_t>(step.layer)].experts;
  group_by_expert(step, experts.size());
  groups_.clear();
  for (std::size_t expert = 0; expert < experts.size(); ++expert) {
    const auto first = static_cast<std::size_t>(first_[expert]);
    const std::size_t count = static_cast<std::size_t>(first_[expert + 1]) - first;
    if (count == 0) continue;
    groups_.push_back({&experts[expert], std::span(rows_).subspan(first, count),
                       std::span(slots_).subspan(first, count)});
  }
  run_in_batches(device_, x, groups_, slots, step.cancel);
}

void DefaultExpertRunner::group_by_expert(const RoutedStep& step, std::size_t experts) {
  first_.assign(experts + 1, 0);
  for (const std::int32_t id : step.ids) {
    if (id < 0 || static_cast<std::size_t>(id) >= experts) {
      fail(ErrorCode::kInternal, "layer {}: router chose expert {} of {}", step.layer, id, experts);
    }
    ++first_[static_cast<std::size_t>(id) + 1];
  }
  for (std::size_t expert = 0; expert < experts; ++expert) first_[expert + 1] += first_[expert];
  rows_.resize(step.ids.size());
  slots_.resize(step.ids.size());
  // Filling moves first_[e] to the end of e's range, which is where e + 1 begins.
  for (std::size_t slot = 0; slot < step.ids.size(); ++slot) {
    const auto at = static_cast<std::size_t>(first_[static_cast<std::size_t>(step.ids[slot])]++);
    rows_[at] = static_cast<std::int32_t>(slot / static_cast<std::size_t>(step.top_k));
    slots_[at] = static_cast<std::int32_t>(slot);
  }
  for (std::size_t expert = experts; expert > 0; --expert) first_[expert] = first_[expert - 1];
  first_[0] = 0;
}

}  // namespace haq::nn
