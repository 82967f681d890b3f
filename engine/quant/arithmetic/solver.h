// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/base/progress.h"
#include "engine/quant/arithmetic/matrix.h"

namespace haq::quant {

struct SolverOptions {
  bool act_order = true;  ///< columns by falling diagonal of the Hessian
  double damping = 0.01;  ///< of the mean diagonal; ten times more after each failed factorization
  std::int64_t block = 128;  ///< columns between two updates by a matrix product, 1 to 128
  bool clip_search = true;   ///< per row: a smaller scale when the Hessian-weighted error says so
};

/// A layer input's Hessian, factored once for all modules that read the input.
///
/// H = (2/n) Σ x xᵀ. Dead channels (H_jj = 0) are left out: their weights are rounded plainly with
/// the scale that the live ones got. (GPTQ's program sets them to zero, which cuts a neuron that
/// was merely silent during calibration.) damping * (mean of the live diagonal) is added to the
/// diagonal, ten times more after a failed factorization (GPTQ, arXiv 2210.17323, section 3.3;
/// act-order as in its published program).
///
/// Kept is the upper triangular R with P (H + λ) Pᵀ = R Rᵀ, not the Cholesky factor U of the
/// inverse: U is R⁻¹, and GPTQ's recurrence (w_j += Σ_i err_i U_ij, err_i = (w_i - ŵ_i) / U_ii) is
/// the forward substitution w_j + Σ_{i<j} d_i R_ij / R_jj with d = w - ŵ of the original weights.
/// That saves inverting, and ‖d R‖² is the objective.
class FactoredHessian {
 public:
  /// `hessian` [k, k] symmetric, consumed. Throws kNumeric (naming `what`) for non-finite entries,
  /// a negative diagonal, or when no damping up to 1e6 times the first helps; kInvalidArgument when
  /// the damping is not positive.
  FactoredHessian(Matrix hessian, const SolverOptions& options, const std::string& what);

  std::int64_t size() const { return static_cast<std::int64_t>(diagonal_.size()); }
  double damping() const { return damping_; }  ///< the share that was used at last
  int back_offs() const { return back_offs_; }
  int dead_channels() const { return static_cast<int>(diagonal_.size() - order_.size()); }

 private:
  friend struct TileSolver;
  void order_channels(bool act_order);
  void factorize(double first_damping, const std::string& what);

  std::vector<float> diagonal_;      ///< [k] of H, undamped, in the input's order
  std::vector<std::int64_t> order_;  ///< live channels in the order of solving
  /// [live, live]: R_ij / R_jj above the diagonal; nothing of use elsewhere. In the order of
  /// solving, times unit_.
  Matrix factor_;
  std::vector<float> pivot_sq_;  ///< [live] R_jj²
  double unit_ = 1;              ///< a power of two that brings the mean diagonal near 1
  double added_ = 0;             ///< λ, times unit_
  double damping_ = 0;
  int back_offs_ = 0;
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
/// each rounding error spread over the columns not yet rounded, within a block directly, from the
/// blocks before by one matrix product per block. Before, the scale of each row is searched over
/// maxima shrunk by up to 20 % (21 steps) by the rounding error weighted with the Hessian's
/// diagonal. Single-threaded, same result for the same input. Throws kCancelled, kNumeric for a
/// non-finite weight, kInvalidArgument for a block size out of range.
Solution solve(ConstMatrixView weights, const FactoredHessian& hessian,
               const SolverOptions& options, const CancelToken& cancel = {});

/// Σ_rows d H dᵀ for d = w - ŵ; h [k, k] symmetric, [m, k] both weights.
double quadratic_error(ConstMatrixView w, ConstMatrixView w_hat, ConstMatrixView h);

}  // namespace haq::quant
