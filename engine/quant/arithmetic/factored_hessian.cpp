// SPDX-License-Identifier: GPL-3.0-or-later
#include <algorithm>
#include <cmath>

#include "engine/base/error.h"
#include "engine/quant/arithmetic/linalg.h"
#include "engine/quant/arithmetic/solver.h"

namespace haq::quant {
namespace {

constexpr int kBackOffs = 6;

std::size_t index(std::int64_t value) {
  return static_cast<std::size_t>(value);
}

void check(const Matrix& hessian, const std::string& what) {
  if (hessian.rows != hessian.cols) {
    fail(ErrorCode::kInternal, "{}: a Hessian of [{}, {}] is not square", what, hessian.rows,
         hessian.cols);
  }
  for (std::int64_t i = 0; i < hessian.rows; ++i) {
    const std::span<const float> row = hessian.row(i);
    for (std::size_t j = 0; j < row.size(); ++j) {
      if (!std::isfinite(row[j])) {
        fail(ErrorCode::kNumeric, "{}: the Hessian holds {} at channels {} and {}", what, row[j], i,
             j);
      }
    }
    if (row[index(i)] < 0) {
      fail(ErrorCode::kNumeric, "{}: the Hessian's diagonal is {} at channel {}", what,
           row[index(i)], i);
    }
  }
}

/// Rows and columns of `h` in the given order, times a factor.
Matrix reordered(const Matrix& h, const std::vector<std::int64_t>& order, float factor) {
  const auto live = static_cast<std::int64_t>(order.size());
  Matrix result(live, live);
  for (std::int64_t i = 0; i < live; ++i) {
    const std::span<const float> from = h.row(order[index(i)]);
    const std::span<float> to = result.row(i);
    for (std::size_t j = 0; j < order.size(); ++j) to[j] = factor * from[index(order[j])];
  }
  return result;
}

void copy_lower_to_upper(Matrix& h) {
  for (std::int64_t i = 0; i < h.rows; ++i) {
    for (std::int64_t j = 0; j < i; ++j) h.row(j)[index(i)] = h.row(i)[index(j)];
  }
}

}  // namespace

FactoredHessian::FactoredHessian(Matrix hessian, const SolverOptions& options,
                                 const std::string& what) {
  if (!(options.damping > 0) || !std::isfinite(options.damping)) {
    fail(ErrorCode::kInvalidArgument, "damping is {}; expected a positive number", options.damping);
  }
  check(hessian, what);
  for (std::int64_t j = 0; j < hessian.rows; ++j) {
    diagonal_.push_back(hessian.row(j)[index(j)]);
  }
  order_channels(options.act_order);
  damping_ = options.damping;
  if (order_.empty()) return;

  double mean = 0;
  for (const std::int64_t j : order_) mean += diagonal_[index(j)];
  mean /= static_cast<double>(order_.size());
  // Exact, and keeps products of very small or large entries within float32.
  unit_ = std::ldexp(1.0, std::clamp(-std::ilogb(mean), -120, 120));
  factor_ = reordered(hessian, order_, static_cast<float>(unit_));
  hessian = Matrix();
  factorize(mean * unit_, what);
}

void FactoredHessian::order_channels(bool act_order) {
  for (std::int64_t j = 0; j < size(); ++j) {
    if (diagonal_[index(j)] > 0) order_.push_back(j);
  }
  if (!act_order) return;
  std::stable_sort(order_.begin(), order_.end(), [&](std::int64_t a, std::int64_t b) {
    return diagonal_[index(a)] > diagonal_[index(b)];
  });
}

void FactoredHessian::factorize(double mean, const std::string& what) {
  std::vector<float> diagonal;
  for (std::int64_t j = 0; j < factor_.rows; ++j) diagonal.push_back(factor_.row(j)[index(j)]);
  for (;; ++back_offs_, damping_ *= 10) {
    added_ = damping_ * mean;
    for (std::int64_t j = 0; j < factor_.rows; ++j) {
      factor_.row(j)[index(j)] = static_cast<float>(diagonal[index(j)] + added_);
    }
    if (upper_cholesky(factor_)) break;
    if (back_offs_ == kBackOffs) {
      fail(ErrorCode::kNumeric,
           "{}: the Hessian is not positive definite, even with {} times its mean diagonal added",
           what, damping_);
    }
    copy_lower_to_upper(factor_);
  }
  std::vector<float> inverse;
  for (std::int64_t j = 0; j < factor_.rows; ++j) {
    const float pivot = factor_.row(j)[index(j)];
    pivot_sq_.push_back(pivot * pivot);
    inverse.push_back(1.0F / pivot);
  }
  for (std::int64_t i = 0; i < factor_.rows; ++i) {
    const std::span<float> row = factor_.row(i);
    for (std::size_t j = index(i) + 1; j < row.size(); ++j) row[j] *= inverse[j];
  }
}

}  // namespace haq::quant
