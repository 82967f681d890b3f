// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/base/progress.h"
#include "engine/quant/matrix.h"

namespace haq::quant {

struct SolverOptions {
  bool act_order = true;  ///< columns by falling diagonal of the Hessian
  double damping = 0.01;  ///< of the mean diagonal; ten times more after each failed factorization
  std::int64_t block = 128;  ///< columns between two updates by a matrix product
  bool clip_search = true;   ///< per row: a smaller scale when the Hessian-weighted error says so
};

/// A layer input's Hessian, factored once for all modules that read the input.
///
/// H = (2/n) Σ x xᵀ; dead channels (H_jj = 0) get H_jj = 1 and their weights are set to zero; then
/// damping * mean(diag) is added to the diagonal, ten times more after a failure (GPTQ, arXiv
/// 2210.17323, section 3.3; act-order as in its published program).
class FactoredHessian {
 public:
  /// `hessian` [k, k] symmetric, consumed. Throws kNumeric (naming `what`) for non-finite entries
  /// or when no damping up to 1e6 times the first helps.
  FactoredHessian(Matrix hessian, const SolverOptions& options, const std::string& what);

  std::int64_t size() const { return factor_.rows; }
  double damping() const { return damping_; }  ///< the share that was used at last
  int back_offs() const { return back_offs_; }
  int dead_channels() const { return dead_channels_; }

 private:
  friend struct Solver;
  Matrix hessian_;  ///< undamped, dead channels with a zero row; for objectives
  Matrix factor_;   ///< inverse Cholesky factor in the permuted order
  std::vector<std::int64_t> order_;
  std::vector<bool> dead_;
  double damping_ = 0;
  int back_offs_ = 0, dead_channels_ = 0;
};

struct Solution {
  QuantizedMatrix weights;
  /// Σ_rows (w - ŵ) H (w - ŵ)ᵀ of plain rounding and of the result; the result's is never larger:
  /// rows where compensation did not help keep plain rounding.
  double objective_rounded = 0, objective = 0;
  std::int64_t rows_kept_rounded = 0;
  double clip = 1;  ///< mean of the chosen scale / (max|w| / 127)
};

/// GPTQ-type quantization of `weights` [m, k] for an input with this Hessian: columns in order,
/// each rounding error spread over the columns not yet rounded (err = (w - q) / U_jj), within a
/// block directly, beyond it by one matrix product per block. Per row the scale is searched over
/// shrinking maxima by the error weighted with the Hessian's diagonal before. Single-threaded, same
/// result for the same input. Throws kCancelled, kNumeric for a non-finite weight.
Solution solve(ConstMatrixView weights, const FactoredHessian& hessian,
               const SolverOptions& options, const CancelToken& cancel = {});

/// Σ_rows d H dᵀ for d = w - ŵ; h [k, k] symmetric.
double quadratic_error(ConstMatrixView w, ConstMatrixView w_hat, ConstMatrixView h);

}  // namespace haq::quant
