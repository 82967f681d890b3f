// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <optional>

#include "engine/quant/arithmetic/matrix.h"

/// Dense linear algebra over BLAS and LAPACK. Every call runs on the calling thread alone (the
/// quantizer is parallel over modules), so results do not depend on the thread count.
namespace haq::quant {

/// c = alpha * a bᵀ + beta * c; a [m, k], b [n, k], c [m, n].
void gemm_nt(ConstMatrixView a, ConstMatrixView b, float alpha, float beta, Matrix& c);
/// c = alpha * a b + beta * c; a [m, k], b [k, n], c [m, n].
void gemm_nn(ConstMatrixView a, ConstMatrixView b, float alpha, float beta, Matrix& c);
/// c = aᵀ b for row-major matrices with the given row strides; a [k, m], b [k, n], c [m, n].
void gemm_tn(std::int64_t m, std::int64_t n, std::int64_t k, const float* a, std::int64_t a_stride,
             const float* b, std::int64_t b_stride, float* c, std::int64_t c_stride);
/// h += factor * xᵀ x; x [n, k], h [k, k]. Only the upper triangle (column >= row) is touched;
/// symmetrize() fills the lower one.
void add_gram(ConstMatrixView x, float factor, Matrix& h);
void symmetrize(Matrix& h);  ///< lower triangle := upper triangle

/// R, upper triangular, with h = R Rᵀ, for a symmetric positive definite h [k, k]: the Cholesky
/// factorization begun at the last row. Reads the upper triangle of h (column >= row) and puts R
/// there; the strict lower triangle is left as it was, also on failure, so that a caller that keeps
/// the diagonal can restore a symmetric h. False when h is not (or only
/// barely, in float32) positive definite.
bool upper_cholesky(Matrix& h);

/// The orthogonal factor of a Gaussian random matrix [n, n] (Householder QR in float64, sign of R's
/// diagonal fixed: Haar distributed; F. Mezzadri, Notices of the AMS 54, 2007). Depends on n and
/// seed alone.
Matrix random_orthogonal(std::int64_t n, std::uint64_t seed);

}  // namespace haq::quant
