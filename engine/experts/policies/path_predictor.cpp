// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/experts/policies/path_predictor.h"

#include <algorithm>

namespace haq::experts {

PathPredictor::PathPredictor(const ExpertShape& shape)
    : shape_(shape),
      experts_(static_cast<std::size_t>(shape.experts)),
      rates_(shape),
      ahead_model_(shape, kStepsBack + 1),
      again_model_(shape, 1),
      before_(static_cast<std::size_t>(shape.layers)),
      odds_(UseRates::kHorizons * experts_),
      ahead_(experts_),
      again_(static_cast<std::size_t>(shape.total()),
             static_cast<float>(shape.top_k) / static_cast<float>(shape.experts)) {}

std::array<PathPredictor::Seen, PathPredictor::kStepsBack + 1> PathPredictor::seen_ahead(
    int layer) const {
  return {recent_[0], before_[static_cast<std::size_t>(layer)], recent_[1], recent_[2]};
}

std::span<const float> PathPredictor::ahead(int layer) {
  if (predicted_ != layer) {
    predicted_ = layer;
    ChoiceModel::log_odds(rates_.all(layer), odds_);
    ahead_model_.predict(layer, odds_, seen_ahead(layer), ahead_);
  }
  return ahead_;
}

void PathPredictor::learn(const Step& step) {
  ahead(step.layer);
  ahead_model_.learn(step.layer, odds_, seen_ahead(step.layer), ahead_, step.experts);
  const Seen before[] = {before_[static_cast<std::size_t>(step.layer)]};
  if (before[0].empty()) return;
  again_model_.learn(step.layer, odds_, before, again(step.layer), step.experts);
}

void PathPredictor::gather(int layer, std::vector<float>& inputs) const {
  const std::span<const float> uses = rates_.all(layer), chances = again(layer);
  inputs.assign(uses.begin(), uses.end());
  inputs.insert(inputs.end(), chances.begin(), chances.end());
}

void PathPredictor::add(const Step& step) {
  const bool path = step.tokens == 1;
  if (path) {
    gather(step.layer, inputs_before_);
    learn(step);
  }
  rates_.add(step);
  predicted_ = -1;
  Choices& own = before_[static_cast<std::size_t>(step.layer)];
  own.clear();
  std::rotate(recent_.begin(), recent_.end() - 1, recent_.end());
  recent_.front().clear();
  if (path) recent_.front() = own = Choices(step.experts.begin(), step.experts.end());
  ChoiceModel::log_odds(rates_.all(step.layer), odds_);
  const Seen now[] = {own};
  again_model_.predict(step.layer, odds_, now,
                       {again_.data() + shape_.index(step.layer, 0), experts_});
  if (!path) return;
  gather(step.layer, inputs_after_);
  value_.learn(step, inputs_before_, inputs_after_);
}

}  // namespace haq::experts
