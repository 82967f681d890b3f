// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/experts/policies/use_rates.h"

#include <algorithm>
#include <cmath>

namespace haq::experts {

UseRates::UseRates(const ExpertShape& shape)
    : experts_(static_cast<std::size_t>(shape.experts)),
      rates_(static_cast<std::size_t>(shape.layers) * kHorizons * experts_,
             std::min(1.0F, static_cast<float>(shape.top_k) / static_cast<float>(shape.experts))),
      seen_(static_cast<std::size_t>(shape.layers), 0) {}

void UseRates::add(const Step& step) {
  double& seen = seen_[static_cast<std::size_t>(step.layer)];
  const double average = (seen + kPrior) / (seen + kPrior + step.tokens);
  seen += step.tokens;
  for (int horizon = 0; horizon < kHorizons; ++horizon) {
    const double decay = kDecays[static_cast<std::size_t>(horizon)];
    const double kept = std::min(average, step.tokens == 1 ? decay : std::pow(decay, step.tokens));
    float* rates = rates_.data() + offset(step.layer, horizon);
    const auto keep = static_cast<float>(kept);
    for (std::size_t expert = 0; expert < experts_; ++expert) rates[expert] *= keep;
    const auto gain = static_cast<float>((1 - kept) / step.tokens);
    for (std::size_t i = 0; i < step.experts.size(); ++i) {
      rates[step.experts[i]] += gain * static_cast<float>(step.counts[i]);
    }
  }
}

}  // namespace haq::experts
