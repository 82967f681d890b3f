// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/experts/policies/path_policy.h"

#include <algorithm>

#include "engine/experts/trace.h"

namespace haq::experts {
namespace {

/// Weight of a use against one a token earlier, in the worth of a resident: the more copies are
/// made, the shorter one stays.
constexpr double kDiscountHits = 0.3;
constexpr int kStepsPerWeights = 64;
constexpr float kLeastChance = 0.1F;  ///< in the next step, for a prefetch
constexpr double kLeastGain = 0.02;   ///< uses that even a free copy must serve
constexpr double kFreeSlot = 6;       ///< where nobody gives way, a resident stays for longer

constexpr double kShareOfReference = 0.97, kFirstPrice = 0.3, kHighestPrice = 5;

}  // namespace

std::shared_ptr<PathPredictor> learned_predictor(const ExpertShape& shape, const Trace* history) {
  auto predictor = std::make_shared<PathPredictor>(shape);
  if (history) {
    const Steps steps(*history);
    for (std::int64_t i = 0; i < steps.count(); ++i) predictor->add(steps.step(i));
  }
  return predictor;
}

PathPolicy::PathPolicy(const ExpertShape& shape, int capacity, const PolicyOptions& options,
                       Pins pins, PathSettings settings)
    : shape_(shape),
      for_hits_(options.path_goal == PathGoal::kHits),
      costs_(usable_costs(options.costs)),
      pins_(std::move(pins)),
      book_(shape, pins_),
      predictor_(settings.predictor ? settings.predictor
                                    : learned_predictor(shape, options.history.get())),
      teaches_(!settings.predictor),
      discount_(for_hits_ ? kDiscountHits : settings.discount),
      weights_(predictor_->value().weights(discount_)),
      copy_us_(costs_.upload_us(1)),
      hit_saves_us_(costs_.cpu_us(1) - costs_.device_us(1)),
      worth_(static_cast<std::size_t>(shape.experts), 0),
      price_(kFirstPrice),
      most_allowed_(std::max(8.0, 0.5 * shape.layers * shape.top_k)) {
  if (!for_hits_) return;
  reference_ = std::make_unique<LruPolicy>(shape, capacity, false);
  reference_residency_ = std::make_unique<Residency>(shape, capacity);
}

void PathPolicy::start(Residency& residency) {
  pins_.admit_to(residency);
}

StepLanes PathPolicy::measure(const Step& step, const Residency& residency) {
  const StepLanes lanes = step_lanes(step, residency, costs_);
  if (step.tokens == 1 && lanes.misses > 0) {
    const StepLanes fewer{lanes.cpu_us - costs_.cpu_us(1), lanes.device_us + costs_.device_us(1),
                          lanes.misses - 1};
    constexpr double kShare = 0.001;
    hit_saves_us_ += kShare * (lanes.us(0, 0) - fewer.us(0, 0) - hit_saves_us_);
  }
  return lanes;
}

void PathPolicy::appraise(int layer, std::span<const float> ahead, const Residency& residency) {
  const auto add = [&](double weight, std::span<const float> input) {
    const auto scale = static_cast<float>(weight);
    for (std::size_t i = 0; i < worth_.size(); ++i) worth_[i] += scale * input[i];
  };
  std::fill(worth_.begin(), worth_.end(), static_cast<float>(weights_.back()));
  for (std::size_t horizon = 0; horizon < UseRates::kHorizons; ++horizon) {
    add(weights_[horizon], predictor_->rates().rates(layer, static_cast<int>(horizon)));
  }
  add(weights_[UseRates::kHorizons], predictor_->again(layer));
  if (!ahead.empty()) add(1, ahead);
  book_.set(layer, worth_, residency);
}

void PathPolicy::collect(const Step& step, const Residency& residency) {
  candidates_.clear();
  if (step.tokens == 1) {
    const int next = predictor_->layer_after(step.layer);
    const std::span<const float> chances = predictor_->ahead(next);
    appraise(next, chances, residency);
    const ExpertIndex base = shape_.index(next, 0);
    for (int number = 0; number < shape_.experts; ++number) {
      if (chances[static_cast<std::size_t>(number)] < kLeastChance) continue;
      const ExpertIndex expert = base + number;
      if (!residency.contains(expert)) candidates_.push_back({expert, book_.worth(expert)});
    }
  }
  if (shape_.layers > 1) appraise(step.layer, {}, residency);
  for (const std::uint16_t number : step.experts) {
    const ExpertIndex expert = shape_.index(step.layer, number);
    if (!residency.contains(expert)) candidates_.push_back({expert, book_.worth(expert)});
  }
  std::stable_sort(candidates_.begin(), candidates_.end(),
                   [](const Candidate& a, const Candidate& b) { return a.worth > b.worth; });
}

bool PathPolicy::pays(double gain, const StepLanes& lanes, int copies) const {
  if (for_hits_) return gain > price_ && allowance_ - copies >= 1;
  const double added = lanes.us(copies + 1, copy_us_) - lanes.us(copies, copy_us_);
  return hit_saves_us_ > 0 && (gain - kLeastGain) * hit_saves_us_ > added;
}

void PathPolicy::end_step(const Step& step, Residency& residency) {
  const StepLanes lanes = measure(step, residency);
  if (teaches_) predictor_->add(step);
  if (++steps_ >= kStepsPerWeights) {
    weights_ = predictor_->value().weights(discount_);
    steps_ = 0;
  }
  if (for_hits_) play_reference(step);
  book_.begin(step, residency);
  collect(step, residency);
  int copies = 0;
  for (const Candidate& candidate : candidates_) {
    if (residency.contains(candidate.expert)) continue;
    const ExpertIndex victim = residency.full() ? book_.weakest() : -1;
    if (residency.full() && victim < 0) break;
    const auto worth = static_cast<double>(candidate.worth);
    const double gain =
        victim < 0 ? kFreeSlot * worth : worth - static_cast<double>(book_.worth(victim));
    if (!pays(gain, lanes, copies)) break;
    if (victim < 0) {
      residency.admit(candidate.expert);
    } else {
      residency.replace(victim, candidate.expert);
      book_.update(shape_.layer_of(victim), residency);
    }
    book_.update(shape_.layer_of(candidate.expert), residency);
    ++copies;
  }
  if (for_hits_) adjust_price(copies);
}

void PathPolicy::play_reference(const Step& step) {
  const std::int64_t before = reference_residency_->uploads();
  reference_->end_step(step, *reference_residency_);
  const auto copies = static_cast<double>(reference_residency_->uploads() - before);
  // Credit from long ago, such as from the first filling, is not kept.
  allowance_ = std::min(most_allowed_, allowance_ + kShareOfReference * copies);
}

void PathPolicy::adjust_price(int copies) {
  allowance_ -= copies;
  constexpr double kSpeed = 1e-3;  // uses per step
  price_ += kSpeed * (0.5 - allowance_ / most_allowed_);
  price_ = std::clamp(price_, kLeastGain, kHighestPrice);
}

}  // namespace haq::experts
