// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <array>
#include <span>
#include <vector>

#include "engine/experts/policies/use_rates.h"

namespace haq::experts {

/// How many uses the residency of an expert will serve: the sum of its uses in the steps of its
/// layer to come, each weighing a discount of the one before, as a linear function of its UseRates
/// and of the chance that the next token chooses it. The weights are shared by all layers and
/// learned online by least-squares temporal differences (Bradtke and Barto, 1996), with a prior
/// that stands for some evidence of its own. So it is the text that decides how much the last few
/// tokens count against the last few hundred.
class UseValue {
 public:
  static constexpr std::size_t kInputs =
      UseRates::kHorizons + 2;  ///< the next token's chance, a constant
  using Weights = std::array<double, kInputs>;

  /// A step of one token: `before` and `after` it the layer's inputs [input][expert], without the
  /// constant: the rates by horizon, then the chance that the next token chooses the expert.
  void learn(const Step& step, std::span<const float> before, std::span<const float> after);
  /// For what was learned so far; `discount` in [0, 1).
  Weights weights(double discount) const;

 private:
  using Matrix = std::array<std::array<double, kInputs>, kInputs>;

  Matrix now_{}, then_{};               // sums of x x^T and of x x'^T, x' one token later
  std::array<double, kInputs> uses_{};  // sum of x * use
  std::vector<float> before_, after_;   // [input][expert] of a step, with the constant
};

}  // namespace haq::experts
