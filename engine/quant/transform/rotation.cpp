// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/quant/transform/rotation.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "engine/base/error.h"
#include "engine/quant/arithmetic/linalg.h"

namespace haq::quant {
namespace {

double& at(std::vector<double>& values, std::int64_t n, std::int64_t row, std::int64_t column) {
  return values[static_cast<std::size_t>(row * n + column)];
}

Matrix narrowed(const std::vector<double>& values, std::int64_t n) {
  Matrix result(n, n);
  for (std::size_t i = 0; i < values.size(); ++i) result.values[i] = static_cast<float>(values[i]);
  return result;
}

/// m := m P or P m for Householder's P = I - 2 u uᵀ / uᵀu, which maps the first unit vector to the
/// all-ones vector over √n: u is their difference.
class OnesReflection {
 public:
  explicit OnesReflection(std::int64_t n)
      : n_(n), u_(static_cast<std::size_t>(n), -1.0 / std::sqrt(static_cast<double>(n))) {
    u_[0] += 1.0;
    for (const double value : u_) norm_ += value * value;
  }
  void from_right(std::vector<double>& m) const {
    for (std::int64_t row = 0; row < n_; ++row) {
      double product = 0;
      for (std::int64_t i = 0; i < n_; ++i) product += at(m, n_, row, i) * u(i);
      for (std::int64_t i = 0; i < n_; ++i) at(m, n_, row, i) -= 2 * product / norm_ * u(i);
    }
  }
  void from_left(std::vector<double>& m) const {
    std::vector<double> products(static_cast<std::size_t>(n_));
    for (std::int64_t row = 0; row < n_; ++row) {
      for (std::int64_t i = 0; i < n_; ++i) {
        products[static_cast<std::size_t>(i)] += u(row) * at(m, n_, row, i);
      }
    }
    for (std::int64_t row = 0; row < n_; ++row) {
      for (std::int64_t i = 0; i < n_; ++i) {
        at(m, n_, row, i) -= 2 * products[static_cast<std::size_t>(i)] / norm_ * u(row);
      }
    }
  }

 private:
  double u(std::int64_t i) const { return u_[static_cast<std::size_t>(i)]; }
  std::int64_t n_;
  std::vector<double> u_;
  double norm_ = 0;
};

/// V diag(1, R) Vᵀ with the reflection V whose first column is the all-ones vector over √n: keeps
/// that vector, and so a row's mean, and rotates its complement by a random orthogonal R.
Matrix mean_keeping(std::int64_t n, std::uint64_t seed) {
  std::vector<double> q(static_cast<std::size_t>(n * n));
  at(q, n, 0, 0) = 1;
  if (n == 1) return narrowed(q, n);
  const Matrix block = random_orthogonal(n - 1, seed);
  for (std::int64_t row = 1; row < n; ++row) {
    for (std::int64_t column = 1; column < n; ++column) {
      at(q, n, row, column) = block.row(row - 1)[static_cast<std::size_t>(column - 1)];
    }
  }
  const OnesReflection v(n);
  v.from_right(q);
  v.from_left(q);
  return narrowed(q, n);
}

void check_width(std::int64_t found, std::int64_t expected) {
  if (found != expected) {
    fail(ErrorCode::kInternal, "{} values to rotate by a matrix of width {}", found, expected);
  }
}

}  // namespace

std::optional<std::string> Rotation::obstacle(const model::ModelConfig& config) {
  if (!config.norm_before) return "its norms follow the residual additions";
  if (config.embed_dim != config.hidden) {
    return "projections lie between its embedding and the residual stream";
  }
  return std::nullopt;
}

Rotation::Rotation(const model::ModelConfig& config, std::uint64_t seed) : seed_(seed) {
  if (const auto reason = obstacle(config)) {
    fail(ErrorCode::kUnsupported, "this {} model cannot be rotated: {}", config.model_type,
         *reason);
  }
  if (config.norm == model::NormKind::kLayer) {
    q_ = mean_keeping(config.hidden, seed);
  } else {
    SignedHadamard structured(config.hidden, seed);
    q_ = structured.dense();
    if (structured.is_fast()) fast_ = std::move(structured);
  }
  transposed_ = Matrix(q_.cols, q_.rows);
  for (std::int64_t row = 0; row < q_.rows; ++row) {
    for (std::int64_t column = 0; column < q_.cols; ++column) {
      transposed_.row(column)[static_cast<std::size_t>(row)] =
          q_.row(row)[static_cast<std::size_t>(column)];
    }
  }
}

Matrix Rotation::rotate_input(ConstMatrixView w) const {
  check_width(w.cols, q_.rows);
  Matrix result(w.rows, w.cols);
  if (fast_) {
    std::copy_n(w.data, result.values.size(), result.data());
    fast_->times(result);
  } else {
    gemm_nn(w, q_, 1, 0, result);
  }
  return result;
}

Matrix Rotation::rotate_output(ConstMatrixView w) const {
  check_width(w.rows, q_.rows);
  Matrix result(w.rows, w.cols);
  if (fast_) {
    std::copy_n(w.data, result.values.size(), result.data());
    fast_->transposed_times(result);
  } else {
    gemm_nn(transposed_, w, 1, 0, result);
  }
  return result;
}

std::vector<float> Rotation::rotate_vector(std::span<const float> v) const {
  check_width(static_cast<std::int64_t>(v.size()), q_.rows);
  std::vector<float> result(v.size());
  for (std::size_t column = 0; column < v.size(); ++column) {
    const std::span<const float> weights = transposed_.row(static_cast<std::int64_t>(column));
    double sum = 0;
    for (std::size_t i = 0; i < v.size(); ++i) sum += static_cast<double>(v[i]) * weights[i];
    result[column] = static_cast<float>(sum);
  }
  return result;
}

Matrix Rotation::rotate_back(ConstMatrixView rows) const {
  check_width(rows.cols, q_.rows);
  Matrix result(rows.rows, rows.cols);
  gemm_nn(rows, transposed_, 1, 0, result);
  return result;
}

}  // namespace haq::quant
