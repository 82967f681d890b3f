// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "engine/experts/residency.h"

namespace haq::experts {

/// A plan's experts, which stay resident whatever a policy does with the other slots.
class Pins {
 public:
  Pins() = default;
  /// `plan`: distinct experts of the shape.
  Pins(const ExpertShape& shape, std::vector<ExpertIndex> plan)
      : plan_(std::move(plan)), in_layer_(static_cast<std::size_t>(shape.layers), 0) {
    pinned_.assign(static_cast<std::size_t>(shape.total()), 0);
    for (const ExpertIndex expert : plan_) {
      pinned_[static_cast<std::size_t>(expert)] = 1;
      ++in_layer_[static_cast<std::size_t>(shape.layer_of(expert))];
    }
  }

  bool has(ExpertIndex expert) const {
    return !pinned_.empty() && pinned_[static_cast<std::size_t>(expert)] != 0;
  }
  int count() const { return static_cast<int>(plan_.size()); }
  int in_layer(int layer) const {
    return in_layer_.empty() ? 0 : in_layer_[static_cast<std::size_t>(layer)];
  }
  void admit_to(Residency& residency) const {
    for (const ExpertIndex expert : plan_) residency.admit(expert);
  }

 private:
  std::vector<ExpertIndex> plan_;
  std::vector<std::uint8_t> pinned_;  // by expert; empty without a plan
  std::vector<int> in_layer_;
};

}  // namespace haq::experts
