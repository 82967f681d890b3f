// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/experts/use_value.h"

#include <algorithm>
#include <cmath>

namespace haq::experts {
namespace {

/// In eight interleaved sums, which a compiler can keep in vectors.
double dot(const float* a, const float* b, std::size_t count) {
  constexpr std::size_t kLanes = 8;
  float lanes[kLanes] = {};
  const std::size_t whole = count / kLanes * kLanes;
  for (std::size_t i = 0; i < whole; i += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) lanes[lane] += a[i + lane] * b[i + lane];
  }
  for (std::size_t i = whole; i < count; ++i) lanes[0] += a[i] * b[i];
  float sum = 0;
  for (const float lane : lanes) sum += lane;
  return static_cast<double>(sum);
}

/// The weight of the prior, in squared inputs summed over experts. The constant is held back more:
/// it moves all experts alike, so only rates near zero can teach it.
constexpr double kPrior = 20, kPriorOfConstant = 2000;
constexpr int kStepsPerSolve = 64;

}  // namespace

UseValue::UseValue(double discount, const Weights& prior)
    : discount_(discount), prior_(prior), weights_(prior) {}

void UseValue::learn(const Step& step, std::span<const float> before,
                     std::span<const float> after) {
  const std::size_t experts = before.size() / (kInputs - 1);
  const auto discount = static_cast<float>(discount_);
  // x with the constant, and x - discount x'.
  inputs_.assign(kInputs * experts, 1.0F);
  std::copy(before.begin(), before.end(), inputs_.begin());
  changes_.assign(kInputs * experts, 1.0F - discount);
  for (std::size_t i = 0; i < before.size(); ++i) changes_[i] = before[i] - discount * after[i];
  for (std::size_t i = 0; i < kInputs; ++i) {
    const float* input = inputs_.data() + i * experts;
    for (std::size_t j = 0; j < kInputs; ++j) {
      matrix_[i][j] += dot(input, changes_.data() + j * experts, experts);
    }
    float uses = 0;
    for (const std::uint16_t expert : step.experts) uses += input[expert];
    uses_[i] += static_cast<double>(uses);
  }
  if (++steps_ < kStepsPerSolve) return;
  steps_ = 0;
  solve();
}

void UseValue::solve() {
  // (M + R) w = u + R w0 with the diagonal R of the prior.
  std::array<std::array<double, kInputs + 1>, kInputs> rows{};
  for (std::size_t i = 0; i < kInputs; ++i) {
    for (std::size_t j = 0; j < kInputs; ++j) rows[i][j] = matrix_[i][j];
    const double weight = i + 1 == kInputs ? kPriorOfConstant : kPrior;
    rows[i][i] += weight;
    rows[i][kInputs] = uses_[i] + weight * prior_[i];
  }
  for (std::size_t column = 0; column < kInputs; ++column) {
    std::size_t pivot = column;
    for (std::size_t i = column + 1; i < kInputs; ++i) {
      if (std::abs(rows[i][column]) > std::abs(rows[pivot][column])) pivot = i;
    }
    if (std::abs(rows[pivot][column]) < 1e-9) return;  // the weights stay as they are
    std::swap(rows[column], rows[pivot]);
    for (std::size_t i = 0; i < kInputs; ++i) {
      if (i == column) continue;
      const double factor = rows[i][column] / rows[column][column];
      for (std::size_t j = column; j <= kInputs; ++j) rows[i][j] -= factor * rows[column][j];
    }
  }
  for (std::size_t i = 0; i < kInputs; ++i) weights_[i] = rows[i][kInputs] / rows[i][i];
}

}  // namespace haq::experts
