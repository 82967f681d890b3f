// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/experts/policies/choice_model.h"
#include "engine/experts/policies/policy.h"
#include "engine/experts/policies/use_rates.h"
#include "engine/experts/policies/use_value.h"

namespace haq::experts {

/// What the path so far says about the choices to come, learned online from the same steps.
///
/// `ahead`: which experts the next step chooses, from those of the three steps before it (the same
/// token's layers l-1, l-2, l-3; in the first layers those of the token before) and from those that
/// the token before chose in its layer. `again`: which experts the next token will choose in a
/// layer, from this token's choice there (the layer's transition table). `value`: how many uses a
/// residency serves, from that and the `rates` of use.
///
/// Only steps of one token have a path; of longer ones only the use counts.
class PathPredictor {
 public:
  explicit PathPredictor(const ExpertShape& shape);

  /// Learns from a step and moves on.
  void add(const Step& step);
  /// Probability by expert that the layer's next step chooses it, given all steps added. Meant for
  /// the layer that follows the last one added. Valid until the next call that is not const.
  std::span<const float> ahead(int layer);
  /// The same as known when the layer's last step was added: without the running token's path.
  std::span<const float> again(int layer) const {
    return {again_.data() + static_cast<std::size_t>(layer) * experts_, experts_};
  }
  const UseRates& rates() const { return rates_; }
  const UseValue& value() const { return value_; }
  /// The layer after this one in the order of steps.
  int layer_after(int layer) const { return layer + 1 == shape_.layers ? 0 : layer + 1; }

 private:
  using Choices = std::vector<std::uint16_t>;
  using Seen = std::span<const std::uint16_t>;
  static constexpr std::size_t kStepsBack = 3;

  std::array<Seen, kStepsBack + 1> seen_ahead(int layer) const;
  void learn(const Step& step);
  void gather(int layer, std::vector<float>& inputs) const;

  ExpertShape shape_;
  std::size_t experts_;
  UseRates rates_;
  UseValue value_;
  ChoiceModel ahead_model_, again_model_;
  std::array<Choices, kStepsBack> recent_;           ///< the last steps' experts, the newest first
  std::vector<Choices> before_;                      ///< by layer: what the token before chose
  std::vector<float> odds_;                          ///< of the layer predicted, [horizon][expert]
  std::vector<float> ahead_;                         ///< of that layer
  std::vector<float> again_;                         ///< [layer][expert]
  std::vector<float> inputs_before_, inputs_after_;  ///< of value_, around a step
  int predicted_ = -1;                               ///< the layer, -1: out of date
};

}  // namespace haq::experts
