// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/quant/arithmetic/linalg.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "engine/base/error.h"
#include "tests/engine/quant/quant_test_support.h"

namespace haq::quant {
namespace {

using test::random_matrix;

double at(const Matrix& m, std::int64_t r, std::int64_t c) {
  return m.row(r)[static_cast<std::size_t>(c)];
}

TEST(Linalg, ProductsOfRectanglesMatchTheDefinition) {
  const Matrix a = random_matrix(5, 7, 1);
  const Matrix b_nt = random_matrix(3, 7, 2), b_nn = random_matrix(7, 3, 3);
  const Matrix c0 = random_matrix(5, 3, 4);
  Matrix nt = c0, nn = c0;
  gemm_nt(a, b_nt, 2.0F, 0.5F, nt);
  gemm_nn(a, b_nn, 2.0F, 0.5F, nn);
  for (std::int64_t i = 0; i < 5; ++i) {
    for (std::int64_t j = 0; j < 3; ++j) {
      double want_nt = 0.5 * at(c0, i, j), want_nn = want_nt;
      for (std::int64_t k = 0; k < 7; ++k) {
        want_nt += 2.0 * at(a, i, k) * at(b_nt, j, k);
        want_nn += 2.0 * at(a, i, k) * at(b_nn, k, j);
      }
      EXPECT_NEAR(at(nt, i, j), want_nt, 1e-5);
      EXPECT_NEAR(at(nn, i, j), want_nn, 1e-5);
    }
  }
}

TEST(Linalg, AProductOfWrongShapesIsADefect) {
  const Matrix a(2, 3), b(2, 4);
  Matrix c(2, 2);
  EXPECT_THROW(gemm_nt(a, b, 1, 0, c), Error);
  EXPECT_THROW(gemm_nn(a, a, 1, 0, c), Error);
  EXPECT_THROW(add_gram(a, 1, c), Error);
  Matrix wide(2, 3);
  EXPECT_THROW(upper_cholesky(wide), Error);
}

TEST(Linalg, NoRowsAddNothing) {
  Matrix h = random_matrix(3, 3, 1);
  const Matrix before = h;
  add_gram(Matrix(0, 3), 1, h);
  EXPECT_EQ(h.values, before.values);
}

TEST(Linalg, GramAccumulatesTheUpperTriangleAlone) {
  const Matrix x = random_matrix(20, 6, 5);
  Matrix h(6, 6);
  h.row(4)[1] = 77;
  add_gram(ConstMatrixView{x.data(), 12, 6}, 0.25F, h);
  add_gram(ConstMatrixView{x.data() + 12 * 6, 8, 6}, 0.25F, h);
  EXPECT_EQ(h.row(4)[1], 77);
  symmetrize(h);
  for (std::int64_t i = 0; i < 6; ++i) {
    for (std::int64_t j = 0; j < 6; ++j) {
      double want = 0;
      for (std::int64_t r = 0; r < 20; ++r) want += 0.25 * at(x, r, i) * at(x, r, j);
      EXPECT_NEAR(at(h, i, j), want, 1e-5);
    }
  }
}

TEST(Linalg, SymmetrizeCopiesOverBlockBorders) {
  Matrix h = random_matrix(150, 150, 6);
  const Matrix before = h;
  symmetrize(h);
  for (std::int64_t i = 0; i < 150; ++i) {
    for (std::int64_t j = 0; j < 150; ++j) {
      ASSERT_EQ(at(h, i, j), at(before, std::min(i, j), std::max(i, j)));
    }
  }
}

TEST(Linalg, UpperFactorByHand) {
  // R = [[1, 2], [0, 3]]: R Rᵀ = [[5, 6], [6, 9]].
  Matrix h(2, 2);
  h.values = {5, 6, -4, 9};  // the lower triangle is not read
  ASSERT_TRUE(upper_cholesky(h));
  EXPECT_FLOAT_EQ(h.values[0], 1);
  EXPECT_FLOAT_EQ(h.values[1], 2);
  EXPECT_EQ(h.values[2], -4);
  EXPECT_FLOAT_EQ(h.values[3], 3);
}

TEST(Linalg, UpperFactorRebuildsTheMatrix) {
  constexpr std::int64_t kSize = 130;
  const Matrix h = test::hessian_of(random_matrix(400, kSize, 7));
  Matrix r = h;
  ASSERT_TRUE(upper_cholesky(r));
  for (std::int64_t i = 0; i < kSize; ++i) {
    EXPECT_GT(at(r, i, i), 0);
    for (std::int64_t j = 0; j < kSize; ++j) {
      if (j < i) {
        ASSERT_EQ(at(r, i, j), at(h, i, j)) << "the lower triangle changed";
      }
      double product = 0;
      for (std::int64_t k = std::max(i, j); k < kSize; ++k) product += at(r, i, k) * at(r, j, k);
      ASSERT_NEAR(product, at(h, i, j), 2e-5);
    }
  }
}

TEST(Linalg, AFailedFactorizationKeepsTheLowerTriangle) {
  Matrix h = test::hessian_of(random_matrix(60, 40, 8));
  h.row(5)[5] = -1;
  const Matrix before = h;
  EXPECT_FALSE(upper_cholesky(h));
  for (std::int64_t i = 0; i < 40; ++i) {
    for (std::int64_t j = 0; j < i; ++j) ASSERT_EQ(at(h, i, j), at(before, i, j));
  }
}

TEST(Linalg, RandomOrthogonalIsOrthogonalAndDependsOnTheSeedAlone) {
  for (const std::int64_t n : {1, 2, 17, 96}) {
    const Matrix q = random_orthogonal(n, 3);
    for (std::int64_t i = 0; i < n; ++i) {
      for (std::int64_t j = 0; j < n; ++j) {
        double dot = 0;
        for (std::int64_t k = 0; k < n; ++k) dot += at(q, i, k) * at(q, j, k);
        ASSERT_NEAR(dot, i == j ? 1 : 0, 1e-6);
      }
    }
    EXPECT_EQ(random_orthogonal(n, 3).values, q.values);
    if (n > 1) {
      EXPECT_NE(random_orthogonal(n, 4).values, q.values);
    }
  }
}

TEST(Linalg, RandomOrthogonalFavoursNoSign) {
  // Without the fixed sign of R's diagonal, Householder QR gives columns of one sign.
  int positive = 0, corner = 0;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    const Matrix q = random_orthogonal(3, seed);
    corner += at(q, 0, 0) > 0 ? 1 : 0;
    const double determinant =
        at(q, 0, 0) * (at(q, 1, 1) * at(q, 2, 2) - at(q, 1, 2) * at(q, 2, 1)) -
        at(q, 0, 1) * (at(q, 1, 0) * at(q, 2, 2) - at(q, 1, 2) * at(q, 2, 0)) +
        at(q, 0, 2) * (at(q, 1, 0) * at(q, 2, 1) - at(q, 1, 1) * at(q, 2, 0));
    positive += determinant > 0 ? 1 : 0;
  }
  EXPECT_NEAR(corner, 100, 35);  // five standard deviations
  EXPECT_NEAR(positive, 100, 35);
}

}  // namespace
}  // namespace haq::quant
