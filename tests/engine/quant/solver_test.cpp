// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/quant/arithmetic/solver.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "engine/base/error.h"
#include "engine/base/threads.h"
#include "engine/quant/arithmetic/rounding.h"
#include "tests/engine/quant/quant_test_support.h"
#include "tests/support/errors.h"

namespace haq::quant {
namespace {

using haq::test::expect_error;
using test::correlated_rows;
using test::hessian_of;
using test::random_matrix;

std::size_t index(std::int64_t value) {
  return static_cast<std::size_t>(value);
}

double row_error(const Matrix& w, const QuantizedMatrix& q, std::int64_t row, const Matrix& h) {
  std::vector<double> d(index(w.cols));
  for (std::size_t j = 0; j < d.size(); ++j) {
    d[j] = static_cast<double>(w.row(row)[j]) -
           static_cast<double>(q.values[index(row * w.cols) + j]) * q.scales[index(row)];
  }
  double sum = 0;
  for (std::int64_t i = 0; i < w.cols; ++i) {
    for (std::size_t j = 0; j < d.size(); ++j) sum += d[index(i)] * h.row(i)[j] * d[j];
  }
  return sum;
}

/// Upper U with h⁻¹ = Uᵀ U, in double, by Gauss-Jordan and Cholesky.
std::vector<double> inverse_factor(const std::vector<double>& h, std::size_t k) {
  std::vector<double> a = h, inverse(k * k);
  for (std::size_t i = 0; i < k; ++i) inverse[i * k + i] = 1;
  for (std::size_t p = 0; p < k; ++p) {
    const double pivot = a[p * k + p];
    for (std::size_t j = 0; j < k; ++j) {
      a[p * k + j] /= pivot;
      inverse[p * k + j] /= pivot;
    }
    for (std::size_t i = 0; i < k; ++i) {
      const double factor = i == p ? 0 : a[i * k + p];
      for (std::size_t j = 0; j < k && factor != 0; ++j) {
        a[i * k + j] -= factor * a[p * k + j];
        inverse[i * k + j] -= factor * inverse[p * k + j];
      }
    }
  }
  std::vector<double> u(k * k);
  for (std::size_t i = 0; i < k; ++i) {
    for (std::size_t j = i; j < k; ++j) {
      double rest = inverse[i * k + j];
      for (std::size_t p = 0; p < i; ++p) rest -= u[p * k + i] * u[p * k + j];
      u[i * k + j] = i == j ? std::sqrt(rest) : rest / u[i * k + i];
    }
  }
  return u;
}

/// Follows the published recurrence in double with the solver's integers, and counts those that are
/// not the nearest ones to their target.
int wrong_decisions(const Matrix& w, const Matrix& h, const Solution& solution, double damping,
                    std::span<const std::int64_t> rows) {
  const std::size_t k = index(w.cols);
  std::vector<std::size_t> order(k);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return h.values[a * k + a] > h.values[b * k + b];
  });
  double mean = 0;
  for (std::size_t j = 0; j < k; ++j) mean += h.values[j * k + j] / static_cast<double>(k);
  std::vector<double> damped(k * k);
  for (std::size_t i = 0; i < k; ++i) {
    for (std::size_t j = 0; j < k; ++j) {
      damped[i * k + j] = h.values[order[i] * k + order[j]] + (i == j ? damping * mean : 0);
    }
  }
  const std::vector<double> u = inverse_factor(damped, k);
  int wrong = 0;
  for (const std::int64_t r : rows) {
    const double scale = solution.weights.scales[index(r)];
    std::vector<double> target(k);
    for (std::size_t j = 0; j < k; ++j) target[j] = w.row(r)[order[j]];
    for (std::size_t j = 0; j < k; ++j) {
      const double value = solution.weights.values[index(r) * k + order[j]];
      const double exact = std::clamp(target[j] / scale, -127.0, 127.0);
      if (std::abs(value - exact) > 0.502) ++wrong;
      const double error = (target[j] - value * scale) / u[j * k + j];
      for (std::size_t i = j; i < k; ++i) target[i] -= error * u[j * k + i];
    }
  }
  return wrong;
}

TEST(Solver, ByHand) {
  // Channel 0 fits exactly. Channel 1 leaves d = 0.4; 2 d1² + 2 d1 d2 + d2² is least for
  // d2 = -0.4, so channel 2 aims at 5.7 and becomes 6 (plain rounding: 5).
  Matrix w(1, 3), h(3, 3);
  w.values = {127, 10.4F, 5.3F};
  h.values = {4, 0, 0, 0, 2, 1, 0, 1, 1};
  SolverOptions options;
  options.damping = 1e-6;
  options.clip_search = false;
  const Solution solution = solve(w, FactoredHessian(h, options, "layer"), options);
  EXPECT_EQ(solution.weights.values, (std::vector<std::int8_t>{127, 10, 6}));
  EXPECT_EQ(solution.weights.scales, std::vector<float>{1.0F});
  EXPECT_NEAR(solution.objective_rounded, 0.65, 1e-4);
  EXPECT_NEAR(solution.objective, 0.25, 1e-4);
  EXPECT_EQ(solution.rows_kept_rounded, 0);
  EXPECT_EQ(solution.clip, 1);
}

TEST(Solver, FollowsThePublishedRecurrence) {
  // Over the borders of a block of columns and of a tile of rows.
  const Matrix w = random_matrix(530, 150, 1), h = hessian_of(correlated_rows(400, 150, 2));
  for (const std::int64_t block : {128, 37}) {
    SolverOptions options;
    options.block = block;
    const Solution solution = solve(w, FactoredHessian(h, options, "layer"), options);
    EXPECT_LT(solution.rows_kept_rounded, 30);
    const QuantizedMatrix plain = round_to_nearest(w);
    std::vector<std::int64_t> rows;
    for (std::int64_t r = 0; r < 530; r += 53) {
      const auto begin = index(r * 150), end = begin + 150;
      if (!std::equal(plain.values.begin() + static_cast<std::ptrdiff_t>(begin),
                      plain.values.begin() + static_cast<std::ptrdiff_t>(end),
                      solution.weights.values.begin() + static_cast<std::ptrdiff_t>(begin))) {
        rows.push_back(r);
      }
    }
    EXPECT_GE(rows.size(), 7U);
    EXPECT_EQ(wrong_decisions(w, h, solution, 0.01, rows), 0);
  }
}

TEST(Solver, NeverWorseThanRoundingInAnyRow) {
  for (const std::int64_t samples : {20, 90, 500}) {  // also far less than channels
    const Matrix w = random_matrix(70, 64, 3);
    const Matrix h = hessian_of(correlated_rows(samples, 64, 4));
    for (const bool act_order : {false, true}) {
      SolverOptions options;
      options.act_order = act_order;
      const Solution solution = solve(w, FactoredHessian(h, options, "layer"), options);
      const QuantizedMatrix plain = round_to_nearest(w);
      double total = 0, total_plain = 0;
      for (std::int64_t r = 0; r < w.rows; ++r) {
        const double error = row_error(w, solution.weights, r, h);
        const double rounded = row_error(w, plain, r, h);
        EXPECT_LE(error, rounded * (1 + 1e-4));
        total += error;
        total_plain += rounded;
      }
      EXPECT_LT(total, 0.7 * total_plain);
      EXPECT_NEAR(solution.objective / total, 1, 1e-3);
      EXPECT_NEAR(solution.objective_rounded / total_plain, 1, 1e-3);
      EXPECT_LE(solution.objective, solution.objective_rounded);
    }
  }
}

TEST(Solver, WithoutCorrelationItIsPlainRounding) {
  const Matrix w = random_matrix(40, 30, 5);
  Matrix h(30, 30);
  for (std::int64_t j = 0; j < 30; ++j) h.row(j)[index(j)] = 1.0F + 0.1F * static_cast<float>(j);
  SolverOptions options;
  options.clip_search = false;
  const Solution solution = solve(w, FactoredHessian(h, options, "layer"), options);
  const QuantizedMatrix plain = round_to_nearest(w);
  EXPECT_EQ(solution.weights.values, plain.values);
  EXPECT_EQ(solution.weights.scales, plain.scales);
  EXPECT_EQ(solution.rows_kept_rounded, 40);
  EXPECT_EQ(solution.objective, solution.objective_rounded);
}

TEST(Solver, ActOrderIsUndone) {
  const std::int64_t k = 50;
  const Matrix w = random_matrix(33, k, 6), h = hessian_of(correlated_rows(300, k, 7));
  Matrix w_mixed(33, k), h_mixed(k, k);
  const auto from = [&](std::int64_t j) { return (j * 7 + 3) % k; };
  for (std::int64_t j = 0; j < k; ++j) {
    for (std::int64_t r = 0; r < 33; ++r) w_mixed.row(r)[index(j)] = w.row(r)[index(from(j))];
    for (std::int64_t i = 0; i < k; ++i) {
      h_mixed.row(i)[index(j)] = h.row(from(i))[index(from(j))];
    }
  }
  SolverOptions options;
  options.clip_search = false;  // its sums run in the input's order
  const Solution one = solve(w, FactoredHessian(h, options, "layer"), options);
  const Solution two = solve(w_mixed, FactoredHessian(h_mixed, options, "layer"), options);
  EXPECT_EQ(one.weights.scales, two.weights.scales);
  for (std::int64_t r = 0; r < 33; ++r) {
    for (std::int64_t j = 0; j < k; ++j) {
      ASSERT_EQ(one.weights.values[index(r * k + from(j))], two.weights.values[index(r * k + j)]);
    }
  }
}

TEST(Solver, DeadChannelsAreRoundedWithTheScaleOfTheLiveOnes) {
  const Matrix w = random_matrix(20, 40, 8);
  Matrix x = correlated_rows(200, 40, 9);
  for (std::int64_t r = 0; r < x.rows; ++r) x.row(r)[3] = x.row(r)[39] = 0;
  const Matrix h = hessian_of(x);
  const SolverOptions options;
  const FactoredHessian factored(h, options, "layer");
  EXPECT_EQ(factored.dead_channels(), 2);
  EXPECT_EQ(factored.size(), 40);
  const Solution solution = solve(w, factored, options);
  for (std::int64_t r = 0; r < 20; ++r) {
    const float scale = solution.weights.scales[index(r)];
    for (const std::int64_t dead : {3, 39}) {
      const float exact = w.row(r)[index(dead)] / scale;
      const float expected = std::clamp(exact, -127.0F, 127.0F);
      EXPECT_NEAR(solution.weights.values[index(r * 40 + dead)], expected, 0.5F + 1e-4F);
    }
  }
  for (std::int64_t r = 0; r < 20; ++r) {
    EXPECT_LE(row_error(w, solution.weights, r, h),
              row_error(w, round_to_nearest(w), r, h) * (1 + 1e-4));
  }
}

TEST(Solver, NoLiveChannelMeansPlainRounding) {
  const Matrix w = random_matrix(3, 5, 10);
  const SolverOptions options;
  const FactoredHessian factored(Matrix(5, 5), options, "layer");
  EXPECT_EQ(factored.dead_channels(), 5);
  const Solution solution = solve(w, factored, options);
  EXPECT_EQ(solution.weights.values, round_to_nearest(w).values);
  EXPECT_EQ(solution.weights.scales, round_to_nearest(w).scales);
  EXPECT_EQ(solution.objective, 0);
  EXPECT_EQ(solution.clip, 1);
}

TEST(Solver, RowsOfZerosKeepScaleOne) {
  Matrix w = random_matrix(4, 30, 11);
  for (float& v : w.row(2)) v = 0;
  const SolverOptions options;
  const Solution solution =
      solve(w, FactoredHessian(hessian_of(correlated_rows(100, 30, 12)), options, "l"), options);
  EXPECT_EQ(solution.weights.scales[2], 1);
  for (std::size_t j = 0; j < 30; ++j) EXPECT_EQ(solution.weights.values[60 + j], 0);
  EXPECT_LT(solution.weights.scales[1], 1);
}

TEST(Solver, ClipsAnOutlierThatHardlyMatters) {
  // The largest weight of each row meets a channel that is almost silent.
  Matrix w = random_matrix(25, 64, 13);
  for (std::int64_t r = 0; r < 25; ++r) w.row(r)[9] = 30;
  Matrix x = random_matrix(300, 64, 14);
  for (std::int64_t r = 0; r < 300; ++r) x.row(r)[9] *= 1e-4F;
  const Matrix h = hessian_of(x);
  SolverOptions options;
  const FactoredHessian factored(h, options, "layer");
  const Solution clipped = solve(w, factored, options);
  options.clip_search = false;
  const Solution whole = solve(w, factored, options);
  EXPECT_NEAR(clipped.clip, 0.8, 0.02);
  EXPECT_EQ(whole.clip, 1);
  EXPECT_LT(clipped.objective, 0.8 * whole.objective);
  EXPECT_EQ(clipped.weights.values[9], 127);
}

TEST(Solver, BacksOffUntilTheFactorizationSucceeds) {
  const Matrix w = random_matrix(4, 2, 15);
  Matrix h(2, 2);
  h.values = {1, 3, 3, 1};  // needs more than twice the mean diagonal
  const SolverOptions options;
  const FactoredHessian factored(h, options, "layer");
  EXPECT_EQ(factored.back_offs(), 3);
  EXPECT_NEAR(factored.damping(), 10, 1e-9);

  Matrix ones(64, 64);  // rank one
  for (float& v : ones.values) v = 1;
  SolverOptions faint;
  faint.damping = 1e-10;
  const FactoredHessian singular(ones, faint, "layer");
  EXPECT_GT(singular.back_offs(), 0);
  const Matrix wide = random_matrix(10, 64, 16);
  const Solution solution = solve(wide, singular, faint);
  for (std::int64_t r = 0; r < 10; ++r) {
    EXPECT_LE(row_error(wide, solution.weights, r, ones),
              row_error(wide, round_to_nearest(wide), r, ones) * (1 + 1e-3) + 1e-6);
  }
}

TEST(Solver, BackingOffStartsAgainFromTheWholeHessian) {
  // The second attempt sees the same matrix as a first one with its damping.
  const std::int64_t k = 40;
  Matrix h = hessian_of(correlated_rows(200, k, 17));
  h.row(4)[30] = h.row(30)[4] = 3 * h.row(4)[4];
  SolverOptions options;
  const FactoredHessian late(h, options, "layer");
  ASSERT_GT(late.back_offs(), 0);
  options.damping = late.damping();
  const FactoredHessian direct(h, options, "layer");
  EXPECT_EQ(direct.back_offs(), 0);
  const Matrix w = random_matrix(50, k, 18);
  const Solution a = solve(w, late, options), b = solve(w, direct, options);
  EXPECT_EQ(a.weights.values, b.weights.values);
  EXPECT_EQ(a.objective, b.objective);
}

TEST(Solver, ScaleOfTheHessianDoesNotMatter) {
  const Matrix w = random_matrix(30, 48, 19), x = correlated_rows(200, 48, 20);
  const Matrix h = hessian_of(x);
  const SolverOptions options;
  const Solution plain = solve(w, FactoredHessian(h, options, "layer"), options);
  for (const float factor : {0x1p-80F, 0x1p80F}) {
    Matrix scaled = h;
    for (float& v : scaled.values) v *= factor;
    const Solution same = solve(w, FactoredHessian(scaled, options, "layer"), options);
    EXPECT_EQ(same.weights.values, plain.weights.values);
    EXPECT_NEAR(same.objective / (plain.objective * static_cast<double>(factor)), 1, 1e-9);
  }
}

TEST(Solver, SameResultOnEveryThread) {
  const Matrix w = random_matrix(200, 130, 21);
  const SolverOptions options;
  const FactoredHessian factored(hessian_of(correlated_rows(300, 130, 22)), options, "layer");
  const Solution alone = solve(w, factored, options);
  ThreadPool pool(3);
  std::vector<Solution> together(6);
  pool.parallel_dynamic(
      6, [&](std::int64_t i, int) { together[index(i)] = solve(w, factored, options); });
  for (const Solution& solution : together) {
    EXPECT_EQ(solution.weights.values, alone.weights.values);
    EXPECT_EQ(solution.weights.scales, alone.weights.scales);
    EXPECT_EQ(solution.objective, alone.objective);
    EXPECT_EQ(solution.objective_rounded, alone.objective_rounded);
  }
}

TEST(Solver, QuadraticErrorMatchesTheDefinition) {
  const Matrix w = random_matrix(520, 20, 23), h = hessian_of(correlated_rows(60, 20, 24));
  const QuantizedMatrix q = round_to_nearest(w);
  double want = 0;
  for (std::int64_t r = 0; r < w.rows; ++r) want += row_error(w, q, r, h);
  EXPECT_NEAR(quadratic_error(w, dequantize(q), h) / want, 1, 1e-4);
  EXPECT_EQ(quadratic_error(w, w, h), 0);
  EXPECT_THROW(quadratic_error(w, w, Matrix(20, 19)), Error);
}

TEST(Solver, BadInputIsRefused) {
  const Matrix good = hessian_of(correlated_rows(60, 10, 25));
  const SolverOptions options;
  const auto factor = [&](const Matrix& h) { return FactoredHessian(h, options, "the layer"); };
  for (const float bad :
       {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
    Matrix h = good;
    h.row(3)[4] = h.row(4)[3] = bad;
    expect_error(ErrorCode::kNumeric, {"the layer"}, [&] { factor(h); });
    Matrix w = random_matrix(3, 10, 26);
    w.row(2)[5] = bad;
    expect_error(ErrorCode::kNumeric, {"row 2"}, [&] { solve(w, factor(good), options); });
  }
  Matrix negative = good;
  negative.row(7)[7] = -1;
  expect_error(ErrorCode::kNumeric, {"channel 7"}, [&] { factor(negative); });
  Matrix hopeless(2, 2);
  hopeless.values = {1, 1e6F, 1e6F, 1};
  expect_error(ErrorCode::kNumeric, {"not positive definite"}, [&] { factor(hopeless); });
  expect_error(ErrorCode::kInternal, {"square"}, [&] { factor(Matrix(2, 3)); });

  const Matrix w = random_matrix(3, 10, 27);
  SolverOptions wrong;
  wrong.damping = 0;
  expect_error(ErrorCode::kInvalidArgument, {"damping"},
               [&] { FactoredHessian(good, wrong, "the layer"); });
  wrong = {};
  for (const std::int64_t block : {0, 129}) {
    wrong.block = block;
    expect_error(ErrorCode::kInvalidArgument, {"block"}, [&] { solve(w, factor(good), wrong); });
  }
  expect_error(ErrorCode::kInternal, {"columns"},
               [&] { solve(random_matrix(3, 9, 28), factor(good), options); });
  CancelToken cancelled;
  cancelled.cancel();
  expect_error(ErrorCode::kCancelled, {}, [&] { solve(w, factor(good), options, cancelled); });
}

}  // namespace
}  // namespace haq::quant
