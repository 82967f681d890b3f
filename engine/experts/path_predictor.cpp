// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/experts/path_predictor.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace haq::experts {
namespace {

constexpr std::size_t kLargestTable = std::size_t{64} << 20;  // floats: 256 MiB

/// log2 within 0.06: exponent and mantissa read as a fixed-point number.
inline float rough_log2(float x) {
  return static_cast<float>(std::bit_cast<std::int32_t>(x)) * 0x1p-23F - 126.943F;
}

inline float log_odds(float rate) {
  constexpr float kLn2 = 0.6931472F, kFloor = 1e-3F;
  return kLn2 * (rough_log2(rate + kFloor) - rough_log2(1 - rate + kFloor));
}

/// 0 to 1, close to the logistic function: (1 + tanh(x / 2)) / 2 with a rational tanh.
inline float squash(float x) {
  const float half = std::min(3.0F, std::max(-3.0F, 0.5F * x));
  const float square = half * half;
  return 0.5F + 0.5F * half * (27 + square) / (27 + 9 * square);
}

int affordable_steps(const ExpertShape& shape, int wanted) {
  const auto experts = static_cast<std::size_t>(shape.experts);
  const std::size_t table = static_cast<std::size_t>(shape.layers) * experts * experts;
  const std::size_t tables = kLargestTable / std::max<std::size_t>(1, table);
  return static_cast<int>(std::min<std::size_t>(static_cast<std::size_t>(wanted) + 1, tables)) - 1;
}

}  // namespace

PathPredictor::PathPredictor(const ExpertShape& shape)
    : shape_(shape),
      experts_(static_cast<std::size_t>(shape.experts)),
      steps_back_(affordable_steps(shape, kSteps)),
      rates_(shape),
      before_(static_cast<std::size_t>(shape.layers)),
      mix_(static_cast<std::size_t>(shape.layers)),
      odds_(UseRates::kHorizons * experts_),
      sums_(experts_),
      probabilities_(experts_),
      errors_(experts_) {
  const std::size_t rows =
      static_cast<std::size_t>(shape.layers) * static_cast<std::size_t>(steps_back_ + 1) * experts_;
  weights_.assign(rows * experts_, 0);
  seen_.assign(rows, 0);
  for (auto& mix : mix_) mix.fill(1.0F / UseRates::kHorizons);
}

template <class Visit>
void PathPredictor::for_inputs(int layer, Visit visit) const {
  if (steps_back_ < 0) return;
  std::size_t first =
      static_cast<std::size_t>(layer) * static_cast<std::size_t>(steps_back_ + 1) * experts_;
  for (const std::uint16_t expert : before_[static_cast<std::size_t>(layer)]) visit(first + expert);
  for (int back = 0; back < steps_back_; ++back) {
    first += experts_;
    for (const std::uint16_t expert : recent_[static_cast<std::size_t>(back)]) {
      visit(first + expert);
    }
  }
}

std::span<const float> PathPredictor::predict(int layer) {
  if (predicted_ == layer) return probabilities_;
  predicted_ = layer;
  std::fill(sums_.begin(), sums_.end(), 0.0F);
  const auto& mix = mix_[static_cast<std::size_t>(layer)];
  for (std::size_t horizon = 0; horizon < UseRates::kHorizons; ++horizon) {
    const float* rates = rates_.rates(layer, static_cast<int>(horizon)).data();
    float* odds = odds_.data() + horizon * experts_;
    float* sums = sums_.data();
    const float weight = mix[horizon];
    for (std::size_t i = 0; i < experts_; ++i) {
      odds[i] = log_odds(rates[i]);
      sums[i] += weight * odds[i];
    }
  }
  for_inputs(layer, [&](std::size_t input) {
    const float* weights = row(input);
    float* sums = sums_.data();
    for (std::size_t i = 0; i < experts_; ++i) sums[i] += weights[i];
  });
  for (std::size_t i = 0; i < experts_; ++i) probabilities_[i] = squash(sums_[i]);
  return probabilities_;
}

void PathPredictor::learn(const Step& step) {
  predict(step.layer);
  for (std::size_t i = 0; i < experts_; ++i) errors_[i] = -probabilities_[i];
  for (const std::uint16_t expert : step.experts) errors_[expert] += 1;
  for_inputs(step.layer, [&](std::size_t input) {
    constexpr float kRate = 0.02F, kFirst = 0.1F;
    const float rate = kRate + kFirst / std::sqrt(1 + seen_[input]);
    seen_[input] += 1;
    float* weights = row(input);
    const float* errors = errors_.data();
    for (std::size_t i = 0; i < experts_; ++i) weights[i] += rate * errors[i];
  });
  auto& mix = mix_[static_cast<std::size_t>(step.layer)];
  for (std::size_t horizon = 0; horizon < UseRates::kHorizons; ++horizon) {
    constexpr float kMixRate = 0.002F;
    const float* odds = odds_.data() + horizon * experts_;
    float slope = 0;
    for (std::size_t i = 0; i < experts_; ++i) slope += odds[i] * errors_[i];
    mix[horizon] += kMixRate * slope / static_cast<float>(shape_.top_k);
  }
}

void PathPredictor::add(const Step& step) {
  const bool path = step.tokens == 1;
  if (path) learn(step);
  rates_.add(step);
  predicted_ = -1;
  Choices& own = before_[static_cast<std::size_t>(step.layer)];
  own.clear();
  std::rotate(recent_.begin(), recent_.end() - 1, recent_.end());
  recent_.front().clear();
  if (!path) return;
  own.assign(step.experts.begin(), step.experts.end());
  recent_.front() = own;
}

}  // namespace haq::experts
