// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/experts/policy.h"
#include "engine/experts/use_rates.h"

namespace haq::experts {

/// Predicts which experts the next step will choose from the path so far. Per layer one logistic
/// model per expert; its inputs are the experts of the three steps before (the same token's layers
/// l-1, l-2, l-3; in the first layers those of the token before), the experts that the token before
/// chose in this layer, and how often the expert was used lately (UseRates, as log odds). Learned
/// online by stochastic gradient steps on the cross-entropy, an input's steps getting smaller with
/// the number of times it was seen. Without evidence the weights are zero and the prediction is
/// that of the recent use.
///
/// Only steps of one token have a path; of longer ones only the use counts.
class PathPredictor {
 public:
  explicit PathPredictor(const ExpertShape& shape);

  /// Learns from a step and moves on.
  void add(const Step& step);
  /// Probability by expert that the layer's next step chooses it, given all steps added. Valid
  /// until the next call of a member that is not const. Meant for the layer that follows the last
  /// one added; for others the missing layers between are simply unknown.
  std::span<const float> predict(int layer);
  const UseRates& rates() const { return rates_; }
  /// The layer after this one in the order of steps.
  int layer_after(int layer) const { return layer + 1 == shape_.layers ? 0 : layer + 1; }

 private:
  using Choices = std::vector<std::uint16_t>;
  static constexpr int kSteps = 3;  ///< steps back whose experts are inputs

  void learn(const Step& step);
  /// Calls visit(row) for each active input of the layer.
  template <class Visit>
  void for_inputs(int layer, Visit visit) const;
  float* row(std::size_t input) { return weights_.data() + input * experts_; }

  ExpertShape shape_;
  std::size_t experts_;
  int steps_back_;  ///< 0 to kSteps; fewer for shapes whose tables would get too large
  UseRates rates_;
  std::vector<float> weights_;          ///< [layer][kind of input][expert seen][expert]
  std::vector<float> seen_;             ///< times an input was active, by row
  std::array<Choices, kSteps> recent_;  ///< the last steps' experts, the newest first
  std::vector<Choices> before_;         ///< by layer: what the token before chose
  std::vector<std::array<float, UseRates::kHorizons>> mix_;  ///< by layer: weights of the log odds
  std::vector<float> odds_;  ///< [horizon][expert], of the layer predicted
  std::vector<float> sums_, probabilities_, errors_;
  int predicted_ = -1;  ///< layer that probabilities_ belong to, -1: out of date
};

}  // namespace haq::experts
