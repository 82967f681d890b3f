// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/experts/policies/use_value.h"

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
/// What to believe without evidence: the next token's chance counts in full, later tokens use the
/// expert as often as the rates say, the longer ones less than the shorter.
UseValue::Weights prior(double discount) {
  const double later = discount / (1 - discount);
  return {0, 0.3 * later, 0.3 * later, 0.2 * later, 0.2 * later, 1, 0};
}

}  // namespace

void UseValue::learn(const Step& step, std::span<const float> before,
                     std::span<const float> after) {
  const std::size_t experts = before.size() / (kInputs - 1);
  before_.assign(kInputs * experts, 1.0F);
  after_.assign(kInputs * experts, 1.0F);
  std::copy(before.begin(), before.end(), before_.begin());
  std::copy(after.begin(), after.end(), after_.begin());
  for (std::size_t i = 0; i < kInputs; ++i) {
    const float* input = before_.data() + i * experts;
    for (std::size_t j = 0; j < kInputs; ++j) {
      then_[i][j] += dot(input, after_.data() + j * experts, experts);
      if (j < i) continue;
      now_[i][j] += dot(input, before_.data() + j * experts, experts);
      now_[j][i] = now_[i][j];
    }
    float uses = 0;
    for (const std::uint16_t expert : step.experts) uses += input[expert];
    uses_[i] += static_cast<double>(uses);
  }
}

UseValue::Weights UseValue::weights(double discount) const {
  const Weights expected = prior(discount);
  // M = sum of x (x - discount x')^T; (M + R) w = u + R w0 with the diagonal R of the prior.
  std::array<std::array<double, kInputs + 1>, kInputs> rows{};
  for (std::size_t i = 0; i < kInputs; ++i) {
    for (std::size_t j = 0; j < kInputs; ++j) {
      rows[i][j] = now_[i][j] - discount * then_[i][j];
    }
    const double weight = i + 1 == kInputs ? kPriorOfConstant : kPrior;
    rows[i][i] += weight;
    rows[i][kInputs] = uses_[i] + weight * expected[i];
  }
  for (std::size_t column = 0; column < kInputs; ++column) {
    std::size_t pivot = column;
    for (std::size_t i = column + 1; i < kInputs; ++i) {
      if (std::abs(rows[i][column]) > std::abs(rows[pivot][column])) pivot = i;
    }
    if (std::abs(rows[pivot][column]) < 1e-9) return expected;
    std::swap(rows[column], rows[pivot]);
    for (std::size_t i = 0; i < kInputs; ++i) {
      if (i == column) continue;
      const double factor = rows[i][column] / rows[column][column];
      for (std::size_t j = column; j <= kInputs; ++j) rows[i][j] -= factor * rows[column][j];
    }
  }
  Weights weights{};
  for (std::size_t i = 0; i < kInputs; ++i) weights[i] = rows[i][kInputs] / rows[i][i];
  return weights;
}

}  // namespace haq::experts
