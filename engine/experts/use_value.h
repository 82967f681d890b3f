// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <array>
#include <span>
#include <vector>

#include "engine/experts/use_rates.h"

namespace haq::experts {

/// How many uses the residency of an expert will serve: the sum of its uses in the steps of its
/// layer to come, each weighing `discount` of the one before, as a linear function of its UseRates
/// and of the chance that the next token chooses it. The weights are shared by all layers and
/// learned online by least-squares temporal differences (Bradtke and Barto, 1996), with a prior
/// that stands for some evidence of its own. So it is the text that decides how much the last few
/// tokens count against the last few hundred.
class UseValue {
 public:
  static constexpr std::size_t kInputs =
      UseRates::kHorizons + 2;  ///< the next token's chance, a constant
  using Weights = std::array<double, kInputs>;

  /// `prior`: the weights to begin with.
  UseValue(double discount, const Weights& prior);

  /// A step of one token: `before` and `after` it the layer's inputs [input][expert], without the
  /// constant: the rates by horizon, then the chance that the next token chooses the expert.
  void learn(const Step& step, std::span<const float> before, std::span<const float> after);
  const Weights& weights() const { return weights_; }

 private:
  void solve();

  double discount_;
  Weights prior_, weights_;
  std::array<std::array<double, kInputs>, kInputs> matrix_{};  // sum of x (x - discount x')^T
  std::array<double, kInputs> uses_{};                         // sum of x * use
  std::vector<float> inputs_, changes_;                        // [input][expert], of a step
  int steps_ = 0;                                              // since the last solve
};

}  // namespace haq::experts
