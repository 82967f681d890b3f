// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/experts/policies/choice_model.h"

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

/// 0 to 1, close to the logistic function: (1 + tanh(x / 2)) / 2 with a rational tanh.
inline float squash(float x) {
  const float half = std::min(3.0F, std::max(-3.0F, 0.5F * x));
  const float square = half * half;
  return 0.5F + 0.5F * half * (27 + square) / (27 + 9 * square);
}

int affordable_sets(const ExpertShape& shape, int wanted) {
  const auto experts = static_cast<std::size_t>(shape.experts);
  const std::size_t table = static_cast<std::size_t>(shape.layers) * experts * experts;
  const std::size_t tables = kLargestTable / std::max<std::size_t>(1, table);
  return static_cast<int>(std::min<std::size_t>(static_cast<std::size_t>(wanted), tables));
}

}  // namespace

ChoiceModel::ChoiceModel(const ExpertShape& shape, int sets)
    : sets_(affordable_sets(shape, sets)),
      top_k_(std::max(1, shape.top_k)),
      experts_(static_cast<std::size_t>(shape.experts)),
      mix_(static_cast<std::size_t>(shape.layers)),
      errors_(experts_) {
  const std::size_t rows = static_cast<std::size_t>(shape.layers * sets_) * experts_;
  weights_.assign(rows * experts_, 0);
  seen_.assign(rows, 0);
  for (auto& mix : mix_) mix.fill(1.0F / UseRates::kHorizons);
}

void ChoiceModel::log_odds(std::span<const float> rates, std::span<float> odds) {
  constexpr float kLn2 = 0.6931472F, kFloor = 1e-3F;
  for (std::size_t i = 0; i < rates.size(); ++i) {
    odds[i] = kLn2 * (rough_log2(rates[i] + kFloor) - rough_log2(1 - rates[i] + kFloor));
  }
}

template <class Visit>
void ChoiceModel::for_rows(int layer, Sets seen, Visit visit) {
  std::size_t first = static_cast<std::size_t>(layer * sets_) * experts_;
  for (int set = 0; set < sets_; ++set, first += experts_) {
    for (const std::uint16_t expert : seen[static_cast<std::size_t>(set)]) visit(first + expert);
  }
}

void ChoiceModel::predict(int layer, std::span<const float> odds, Sets seen,
                          std::span<float> chances) {
  const auto& mix = mix_[static_cast<std::size_t>(layer)];
  float* sums = chances.data();
  std::fill(chances.begin(), chances.end(), 0.0F);
  for (std::size_t horizon = 0; horizon < UseRates::kHorizons; ++horizon) {
    const float weight = mix[horizon];
    const float* from = odds.data() + horizon * experts_;
    for (std::size_t i = 0; i < experts_; ++i) sums[i] += weight * from[i];
  }
  for_rows(layer, seen, [&](std::size_t row) {
    const float* weights = weights_.data() + row * experts_;
    for (std::size_t i = 0; i < experts_; ++i) sums[i] += weights[i];
  });
  for (std::size_t i = 0; i < experts_; ++i) sums[i] = squash(sums[i]);
}

void ChoiceModel::learn(int layer, std::span<const float> odds, Sets seen,
                        std::span<const float> chances, std::span<const std::uint16_t> chosen) {
  float* errors = errors_.data();
  for (std::size_t i = 0; i < experts_; ++i) errors[i] = -chances[i];
  for (const std::uint16_t expert : chosen) errors[expert] += 1;
  for_rows(layer, seen, [&](std::size_t row) {
    constexpr float kRate = 0.02F, kFirst = 0.1F;
    const float rate = kRate + kFirst / std::sqrt(1 + seen_[row]);
    seen_[row] += 1;
    float* weights = weights_.data() + row * experts_;
    for (std::size_t i = 0; i < experts_; ++i) weights[i] += rate * errors[i];
  });
  auto& mix = mix_[static_cast<std::size_t>(layer)];
  for (std::size_t horizon = 0; horizon < UseRates::kHorizons; ++horizon) {
    constexpr float kMixRate = 0.003F;
    const float* from = odds.data() + horizon * experts_;
    float slope = 0;
    for (std::size_t i = 0; i < experts_; ++i) slope += from[i] * errors[i];
    mix[horizon] += kMixRate * slope / static_cast<float>(top_k_);
  }
}

}  // namespace haq::experts
