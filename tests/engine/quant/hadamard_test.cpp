// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/quant/arithmetic/hadamard.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "engine/quant/arithmetic/linalg.h"

namespace haq::quant {
namespace {

Matrix random_matrix(std::int64_t rows, std::int64_t cols) {
  std::mt19937 generator(17);
  std::normal_distribution<float> distribution;
  Matrix matrix(rows, cols);
  for (float& value : matrix.values) value = distribution(generator);
  return matrix;
}

Matrix transposed(const Matrix& matrix) {
  Matrix result(matrix.cols, matrix.rows);
  for (std::int64_t row = 0; row < matrix.rows; ++row) {
    for (std::int64_t column = 0; column < matrix.cols; ++column) {
      result.row(column)[static_cast<std::size_t>(row)] =
          matrix.row(row)[static_cast<std::size_t>(column)];
    }
  }
  return result;
}

void expect_near(const Matrix& a, const Matrix& b) {
  ASSERT_EQ(a.values.size(), b.values.size());
  for (std::size_t i = 0; i < a.values.size(); ++i) {
    ASSERT_NEAR(a.values[i], b.values[i], 2e-6) << "element " << i;
  }
}

class HadamardOfWidth : public testing::TestWithParam<int> {};

TEST_P(HadamardOfWidth, FastProductsAreTheDenseOnes) {
  const SignedHadamard q(GetParam(), 23);
  ASSERT_EQ(q.width(), GetParam());
  const Matrix dense = q.dense();
  // Neither a multiple of the bundles of rows nor of the strips of columns.
  for (const std::int64_t count : {1, 16, 37, 70}) {
    const Matrix rows = random_matrix(count, GetParam());
    Matrix expected(count, GetParam());
    gemm_nn(rows, dense, 1, 0, expected);
    Matrix found = rows;
    q.times(found);
    expect_near(found, expected);

    Matrix columns = transposed(rows);
    q.transposed_times(columns);
    expect_near(columns, transposed(expected));
  }
}

INSTANTIATE_TEST_SUITE_P(Widths, HadamardOfWidth, testing::Values(1, 2, 5, 12, 16, 48, 64, 144));

TEST(Hadamard, SignsDependOnTheSeed) {
  const Matrix first = SignedHadamard(64, 1).dense();
  const Matrix second = SignedHadamard(64, 2).dense();
  int other = 0;
  for (std::int64_t row = 0; row < 64; ++row) {
    EXPECT_EQ(std::abs(first.row(row)[0]), 0.125F);
    other += first.row(row)[0] != second.row(row)[0] ? 1 : 0;
  }
  EXPECT_GT(other, 16);
  EXPECT_LT(other, 48);
}

}  // namespace
}  // namespace haq::quant
