// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/experts/path_policy.h"

#include <algorithm>
#include <array>

#include "engine/experts/trace.h"

namespace haq::experts {
namespace {

/// Uses that a residency is expected to serve beyond the next step, per use per token at each of
/// UseRates' horizons. Where copies are meant to be many, none stays for long.
constexpr std::array<float, UseRates::kHorizons> kHorizonTime = {1, 3, 3, 2},
                                                 kHorizonHits = {0.1F, 0.1F, 0.1F, 0.1F};
constexpr float kLeastChance = 0.1F;  ///< of being used in the next step, for a prefetch
constexpr double kLeastGain = 0.02;   ///< uses

}  // namespace

PathPolicy::PathPolicy(const ExpertShape& shape, int capacity, const PolicyOptions& options,
                       Pins pins)
    : shape_(shape),
      capacity_(capacity),
      options_(options),
      costs_(usable_costs(options.costs)),
      pins_(std::move(pins)),
      predictor_(shape),
      upload_us_(costs_.upload_us(1)),
      hit_saves_us_(costs_.cpu_us(1) - costs_.device_us(1)),
      worth_(static_cast<std::size_t>(shape.experts), 0) {
  if (options_.path_goal == PathGoal::kHits) {
    reference_ = std::make_unique<LruPolicy>(shape, capacity, false);
    reference_residency_ = std::make_unique<Residency>(shape, capacity);
  }
  if (options_.history) {
    const Steps steps(*options_.history);
    for (std::int64_t i = 0; i < steps.count(); ++i) predictor_.add(steps.step(i));
  }
  options_.history.reset();
}

void PathPolicy::start(Residency& residency) {
  pins_.admit_to(residency);
}

int PathPolicy::quota(int layer) const {
  return layer_quota(shape_, capacity_ - pins_.count(), layer) + pins_.in_layer(layer);
}

StepLanes PathPolicy::measure(const Step& step, const Residency& residency) {
  const StepLanes lanes = step_lanes(step, residency, costs_);
  if (step.tokens == 1 && lanes.misses > 0) {
    const StepLanes fewer{lanes.cpu_us - costs_.cpu_us(1), lanes.device_us + costs_.device_us(1),
                          lanes.misses - 1};
    constexpr double kMemory = 0.999;
    hit_saves_us_ += (1 - kMemory) * (lanes.us(0, 0) - fewer.us(0, 0) - hit_saves_us_);
  }
  return lanes;
}

void PathPolicy::appraise(int layer, std::span<const float> next) {
  const auto& uses = options_.path_goal == PathGoal::kTime ? kHorizonTime : kHorizonHits;
  std::fill(worth_.begin(), worth_.end(), 0.0F);
  for (int horizon = 0; horizon < UseRates::kHorizons; ++horizon) {
    const float* rates = predictor_.rates().rates(layer, horizon).data();
    const float weight = uses[static_cast<std::size_t>(horizon)];
    for (std::size_t i = 0; i < worth_.size(); ++i) worth_[i] += weight * rates[i];
  }
  if (next.empty()) return;
  for (std::size_t i = 0; i < worth_.size(); ++i) worth_[i] += next[i];
}

ExpertIndex PathPolicy::weakest(const Step& step, int layer, const Residency& residency) const {
  ExpertIndex weakest = -1;
  float lowest = 0;
  const ExpertIndex base = shape_.index(layer, 0);
  for (ExpertIndex expert = base; expert < base + shape_.experts; ++expert) {
    if (!residency.contains(expert) || pins_.has(expert)) continue;
    const float worth = worth_[static_cast<std::size_t>(expert - base)];
    if (weakest >= 0 && worth >= lowest) continue;
    const auto number = static_cast<std::uint16_t>(expert - base);
    const bool in_use = layer == step.layer && std::find(step.experts.begin(), step.experts.end(),
                                                         number) != step.experts.end();
    if (in_use) continue;
    weakest = expert;
    lowest = worth;
  }
  return weakest;
}

void PathPolicy::end_step(const Step& step, Residency& residency) {
  const StepLanes lanes = measure(step, residency);
  predictor_.add(step);
  if (reference_) {
    const std::int64_t before = reference_residency_->uploads();
    reference_->end_step(step, *reference_residency_);
    allowance_ += 0.97 * static_cast<double>(reference_residency_->uploads() - before);
  }
  const bool hits_goal = options_.path_goal == PathGoal::kHits;
  int uploads = 0;
  const int next = predictor_.layer_after(step.layer);
  const std::span<const float> chances =
      step.tokens == 1 ? predictor_.predict(next) : std::span<const float>();
  for (const bool prefetch : {true, false}) {
    const int layer = prefetch ? next : step.layer;
    if (prefetch && chances.empty()) continue;
    if (quota(layer) == pins_.in_layer(layer)) continue;
    appraise(layer, prefetch ? chances : std::span<const float>());
    candidates_.clear();
    const ExpertIndex base = shape_.index(layer, 0);
    if (prefetch) {
      for (int number = 0; number < shape_.experts; ++number) {
        if (chances[static_cast<std::size_t>(number)] < kLeastChance) continue;
        if (residency.contains(base + number)) continue;
        candidates_.push_back({base + number, worth_[static_cast<std::size_t>(number)]});
      }
    } else {
      for (const std::uint16_t number : step.experts) {
        if (residency.contains(base + number)) continue;
        candidates_.push_back({base + number, worth_[number]});
      }
    }
    std::stable_sort(candidates_.begin(), candidates_.end(),
                     [](const Candidate& a, const Candidate& b) { return a.worth > b.worth; });
    for (const Candidate& candidate : candidates_) {
      ExpertIndex victim = -1;
      double gain = candidate.worth;
      if (residency.used_in_layer(layer) >= quota(layer)) {
        victim = weakest(step, layer, residency);
        if (victim < 0) break;
        gain -= worth_[static_cast<std::size_t>(victim - base)];
      }
      bool pays = false;
      if (hits_goal) {
        pays = gain > price_ && allowance_ >= 1;
      } else {
        const double added = lanes.us(uploads + 1, upload_us_) - lanes.us(uploads, upload_us_);
        pays = gain * hit_saves_us_ > added + kLeastGain * hit_saves_us_;
      }
      if (!pays) break;
      if (victim < 0) {
        residency.admit(candidate.expert);
      } else {
        residency.replace(victim, candidate.expert);
      }
      ++uploads;
    }
  }
  if (hits_goal) {
    allowance_ -= uploads;
    constexpr double kTarget = 200, kSpeed = 1e-3;
    price_ = std::clamp(price_ + kSpeed * (kTarget - allowance_) / kTarget, kLeastGain, 5.0);
  }
}

}  // namespace haq::experts
