// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <array>
#include <span>
#include <vector>

#include "engine/experts/policies/policy.h"

namespace haq::experts {

/// How often each expert was used per token lately: exponential averages over several horizons, one
/// set per layer, that advance with the layer's own steps. They start at the mean, top_k / experts,
/// which counts as kPrior tokens: until more than a horizon was seen, its rate is the plain
/// average.
class UseRates {
 public:
  static constexpr int kHorizons = 5;
  /// Decay per token of each horizon: about 5, 14, 45, 150 and 500 tokens of memory.
  static constexpr std::array<double, kHorizons> kDecays = {0.8, 0.93, 0.978, 0.9933, 0.998};

  static constexpr double kPrior = 8;

  explicit UseRates(const ExpertShape& shape);

  /// Adds a step; a batch of n tokens weighs as n tokens with its mean use would.
  void add(const Step& step);
  /// By expert of the layer, uses per token in [0, 1].
  std::span<const float> rates(int layer, int horizon) const {
    return {rates_.data() + offset(layer, horizon), experts_};
  }

  /// [horizon][expert] of the layer.
  std::span<const float> all(int layer) const {
    return {rates_.data() + offset(layer, 0), kHorizons * experts_};
  }

 private:
  std::size_t offset(int layer, int horizon) const {
    return (static_cast<std::size_t>(layer) * kHorizons + static_cast<std::size_t>(horizon)) *
           experts_;
  }

  std::size_t experts_;
  std::vector<float> rates_;  // [layer][horizon][expert]
  std::vector<double> seen_;  // tokens, by layer
};

}  // namespace haq::experts
