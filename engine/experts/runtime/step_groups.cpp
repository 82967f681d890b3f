// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/experts/runtime/step_groups.h"

#include <algorithm>

#include "engine/base/error.h"

namespace haq::experts {

void StepGroups::group(const nn::RoutedStep& step, int experts) {
  tokens_ = static_cast<int>(step.tokens);
  experts_.clear();
  counts_.clear();
  place_.assign(static_cast<std::size_t>(experts), 0);
  first_.assign(1, 0);
  for (const std::int32_t id : step.ids) {
    if (id < 0 || id >= experts) {
      fail(ErrorCode::kInternal, "layer {}: router chose expert {} of {}", step.layer, id, experts);
    }
    std::int32_t& place = place_[static_cast<std::size_t>(id)];
    if (place == 0) {
      experts_.push_back(static_cast<std::uint16_t>(id));
      first_.push_back(0);
      place = static_cast<std::int32_t>(experts_.size());
    }
    ++first_[static_cast<std::size_t>(place)];
  }
  for (std::size_t group = 0; group < experts_.size(); ++group) {
    // As in a trace, whose counts have 16 bits.
    counts_.push_back(static_cast<std::uint16_t>(std::min(first_[group + 1], 0xFFFF)));
    first_[group + 1] += first_[group];
  }
  rows_.resize(step.ids.size());
  slots_.resize(step.ids.size());
  // Filling moves first_[g] to the end of g's range, which is where g + 1 begins.
  for (std::size_t slot = 0; slot < step.ids.size(); ++slot) {
    const auto group =
        static_cast<std::size_t>(place_[static_cast<std::size_t>(step.ids[slot])] - 1);
    const auto at = static_cast<std::size_t>(first_[group]++);
    rows_[at] = static_cast<std::int32_t>(slot / static_cast<std::size_t>(step.top_k));
    slots_[at] = static_cast<std::int32_t>(slot);
  }
  for (std::size_t group = experts_.size(); group > 0; --group) first_[group] = first_[group - 1];
  first_[0] = 0;
}

}  // namespace haq::experts
