// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/quant/arithmetic/linalg.h"

#include <cblas.h>
#include <lapacke.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <mutex>
#include <random>
#include <vector>

#include "engine/base/error.h"

namespace haq::quant {
namespace {

/// OpenBLAS would otherwise start a team of its own for every call of each of our threads.
void use_one_thread() {
  static std::once_flag once;
  std::call_once(once, [] { openblas_set_num_threads(1); });
}

int blas_int(std::int64_t value) {
  if (value < 0 || value > std::numeric_limits<int>::max()) {
    fail(ErrorCode::kLimit, "a matrix dimension of {} is beyond what BLAS takes", value);
  }
  return static_cast<int>(value);
}

void check_product(const char* what, ConstMatrixView a, std::int64_t b_inner, std::int64_t b_outer,
                   const Matrix& c) {
  if (a.cols != b_inner || c.rows != a.rows || c.cols != b_outer) {
    fail(ErrorCode::kInternal, "{}: [{}, {}] times an inner dimension of {} into [{}, {}]", what,
         a.rows, a.cols, b_inner, c.rows, c.cols);
  }
}

/// Leading dimensions must be positive even when there is nothing to read.
int leading(std::int64_t cols) {
  return std::max(1, blas_int(cols));
}

}  // namespace

void gemm_nt(ConstMatrixView a, ConstMatrixView b, float alpha, float beta, Matrix& c) {
  check_product("gemm_nt", a, b.cols, b.rows, c);
  use_one_thread();
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, blas_int(c.rows), blas_int(c.cols),
              blas_int(a.cols), alpha, a.data, leading(a.cols), b.data, leading(b.cols), beta,
              c.data(), leading(c.cols));
}

void gemm_nn(ConstMatrixView a, ConstMatrixView b, float alpha, float beta, Matrix& c) {
  check_product("gemm_nn", a, b.rows, b.cols, c);
  use_one_thread();
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, blas_int(c.rows), blas_int(c.cols),
              blas_int(a.cols), alpha, a.data, leading(a.cols), b.data, leading(b.cols), beta,
              c.data(), leading(c.cols));
}

void gemm_tn(std::int64_t m, std::int64_t n, std::int64_t k, const float* a, std::int64_t a_stride,
             const float* b, std::int64_t b_stride, float* c, std::int64_t c_stride) {
  use_one_thread();
  cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, blas_int(m), blas_int(n), blas_int(k), 1.0F,
              a, leading(a_stride), b, leading(b_stride), 0.0F, c, leading(c_stride));
}

void add_gram(ConstMatrixView x, float factor, Matrix& h) {
  if (h.rows != x.cols || h.cols != x.cols) {
    fail(ErrorCode::kInternal, "add_gram: rows of {} channels into [{}, {}]", x.cols, h.rows,
         h.cols);
  }
  use_one_thread();
  cblas_ssyrk(CblasRowMajor, CblasUpper, CblasTrans, blas_int(x.cols), blas_int(x.rows), factor,
              x.data, leading(x.cols), 1.0F, h.data(), leading(h.cols));
}

void symmetrize(Matrix& h) {
  // Square blocks: both the rows read and the columns written stay in the cache.
  constexpr std::int64_t kBlock = 64;
  const std::int64_t k = h.rows;
  float* p = h.data();
  for (std::int64_t i0 = 0; i0 < k; i0 += kBlock) {
    const std::int64_t i1 = std::min(k, i0 + kBlock);
    for (std::int64_t j0 = i0; j0 < k; j0 += kBlock) {
      const std::int64_t j1 = std::min(k, j0 + kBlock);
      for (std::int64_t i = i0; i < i1; ++i) {
        for (std::int64_t j = std::max(i + 1, j0); j < j1; ++j) p[j * k + i] = p[i * k + j];
      }
    }
  }
}

bool upper_cholesky(Matrix& h) {
  if (h.rows != h.cols) {
    fail(ErrorCode::kInternal, "upper_cholesky: [{}, {}] is not square", h.rows, h.cols);
  }
  use_one_thread();
  // The last row first: the packed rows read backwards are h with both orders reversed, and its
  // lower factor read backwards is the upper one. Row-major lower is column-major upper.
  const int k = blas_int(h.rows);
  std::reverse(h.values.begin(), h.values.end());
  const int info = LAPACKE_spotrf_work(LAPACK_COL_MAJOR, 'U', k, h.data(), leading(h.cols));
  std::reverse(h.values.begin(), h.values.end());
  if (info < 0) fail(ErrorCode::kInternal, "spotrf: argument {} is wrong", -info);
  bool finite = true;  // OpenBLAS takes a NaN for a pivot
  for (std::int64_t j = 0; j < h.rows; ++j) {
    finite = finite && std::isfinite(h.row(j)[static_cast<std::size_t>(j)]);
  }
  return info == 0 && finite;
}

Matrix random_orthogonal(std::int64_t n, std::uint64_t seed) {
  use_one_thread();
  const int size = blas_int(n);
  const int stride = leading(n);
  std::vector<double> q(static_cast<std::size_t>(n) * static_cast<std::size_t>(n));
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal;
  for (double& value : q) value = normal(random);
  std::vector<double> tau(static_cast<std::size_t>(n)), sign(static_cast<std::size_t>(n));
  int info = LAPACKE_dgeqrf(LAPACK_COL_MAJOR, size, size, q.data(), stride, tau.data());
  for (std::int64_t j = 0; j < n; ++j) {
    const auto diagonal = static_cast<std::size_t>(j * n + j);
    sign[static_cast<std::size_t>(j)] = q[diagonal] < 0 ? -1.0 : 1.0;
  }
  if (info == 0) {
    info = LAPACKE_dorgqr(LAPACK_COL_MAJOR, size, size, size, q.data(), stride, tau.data());
  }
  if (info != 0) fail(ErrorCode::kInternal, "QR factorization of size {} failed ({})", n, info);

  Matrix result(n, n);  // column j of Q lies at q[j * n]
  for (std::int64_t i = 0; i < n; ++i) {
    const std::span<float> row = result.row(i);
    for (std::int64_t j = 0; j < n; ++j) {
      const auto at = static_cast<std::size_t>(j);
      row[at] = static_cast<float>(sign[at] * q[static_cast<std::size_t>(j * n + i)]);
    }
  }
  return result;
}

}  // namespace haq::quant
