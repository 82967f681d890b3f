// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/experts/policies/use_rates.h"
#include "engine/experts/shape.h"

namespace haq::experts {

/// Which experts a layer's step chooses, as one logistic model per layer and expert. Inputs are
/// sets of experts seen elsewhere (each set has a table of weights [expert seen][expert]) and the
/// log odds of the layer's UseRates. Learned by stochastic gradient steps on the cross-entropy; an
/// input's steps get smaller the more often it was seen. Without evidence the tables are zero and
/// the prediction is that of the recent use.
class ChoiceModel {
 public:
  using Sets = std::span<const std::span<const std::uint16_t>>;

  /// `sets`: tables of a layer; fewer are kept where they would take more than 256 MiB in all.
  ChoiceModel(const ExpertShape& shape, int sets);
  /// Sets that have a table; the others are ignored.
  int sets() const { return sets_; }

  /// Probability by expert. `odds`: log_odds() of the layer, [horizon][expert].
  void predict(int layer, std::span<const float> odds, Sets seen, std::span<float> chances);
  /// `chances` as predicted from the same inputs, `chosen` what came.
  void learn(int layer, std::span<const float> odds, Sets seen, std::span<const float> chances,
             std::span<const std::uint16_t> chosen);

  /// Of each rate.
  static void log_odds(std::span<const float> rates, std::span<float> odds);

 private:
  template <class Visit>
  void for_rows(int layer, Sets seen, Visit visit);

  int sets_;
  int top_k_;
  std::size_t experts_;
  std::vector<float> weights_;                               ///< [layer][set][expert seen][expert]
  std::vector<float> seen_;                                  ///< times an input was active, by row
  std::vector<std::array<float, UseRates::kHorizons>> mix_;  ///< by layer: weights of the log odds
  std::vector<float> errors_;
};

}  // namespace haq::experts
