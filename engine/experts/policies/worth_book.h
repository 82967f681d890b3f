// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/experts/policies/pins.h"
#include "engine/experts/policies/policy.h"

namespace haq::experts {

/// What the residency of every expert is worth, as far as it was last looked at, and the least
/// worthy resident at hand. Pinned experts and those of the running step are never it.
class WorthBook {
 public:
  WorthBook(const ExpertShape& shape, const Pins& pins);

  /// The step whose experts may not go.
  void begin(const Step& step, const Residency& residency);
  /// All experts of a layer.
  void set(int layer, std::span<const float> worth, const Residency& residency);
  /// The residency of something in this layer has changed.
  void update(int layer, const Residency& residency);

  float worth(ExpertIndex expert) const { return worth_[static_cast<std::size_t>(expert)]; }
  /// Of all layers; ties to the lower layer and expert. -1: no resident may go.
  ExpertIndex weakest() const;

 private:
  ExpertShape shape_;
  const Pins& pins_;
  std::vector<float> worth_;          // by expert
  std::vector<ExpertIndex> weakest_;  // by layer
  std::vector<std::uint8_t> in_use_;  // by expert of protected_
  int protected_ = -1;                // layer of the running step
};

}  // namespace haq::experts
