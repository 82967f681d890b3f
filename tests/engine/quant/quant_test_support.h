// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <random>
#include <vector>

#include "engine/quant/arithmetic/matrix.h"

namespace haq::quant::test {

/// Independent standard normal values times `spread`.
inline Matrix random_matrix(std::int64_t rows, std::int64_t cols, unsigned seed, float spread = 1) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal(0.0F, spread);
  Matrix m(rows, cols);
  for (float& v : m.values) v = normal(generator);
  return m;
}

/// Rows of strongly correlated channels: a few hidden causes and a little noise of their own.
inline Matrix correlated_rows(std::int64_t rows, std::int64_t cols, unsigned seed,
                              std::int64_t causes = 8) {
  const Matrix hidden = random_matrix(rows, causes, seed);
  const Matrix mix = random_matrix(causes, cols, seed + 1);
  Matrix x = random_matrix(rows, cols, seed + 2, 0.3F);
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::int64_t c = 0; c < causes; ++c) {
      const float cause = hidden.row(r)[static_cast<std::size_t>(c)];
      for (std::int64_t j = 0; j < cols; ++j) {
        x.row(r)[static_cast<std::size_t>(j)] += cause * mix.row(c)[static_cast<std::size_t>(j)];
      }
    }
  }
  return x;
}

/// (2/n) xᵀ x, summed in double.
inline Matrix hessian_of(const Matrix& x) {
  std::vector<double> sums(static_cast<std::size_t>(x.cols * x.cols));
  for (std::int64_t r = 0; r < x.rows; ++r) {
    const float* row = x.row(r).data();
    for (std::int64_t i = 0; i < x.cols; ++i) {
      for (std::int64_t j = 0; j < x.cols; ++j) {
        sums[static_cast<std::size_t>(i * x.cols + j)] += static_cast<double>(row[i]) * row[j];
      }
    }
  }
  Matrix h(x.cols, x.cols);
  for (std::size_t i = 0; i < sums.size(); ++i) {
    h.values[i] = static_cast<float>(2 * sums[i] / static_cast<double>(x.rows));
  }
  return h;
}

}  // namespace haq::quant::test
