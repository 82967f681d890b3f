// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/quant/arithmetic/solver.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "engine/base/error.h"
#include "engine/device/numerics.h"
#include "engine/quant/arithmetic/linalg.h"
#include "engine/quant/arithmetic/rounding.h"
#include "engine/quant/arithmetic/row_kernels.h"

namespace haq::quant {

namespace num = device::num;

namespace {

constexpr std::int64_t kTileRows = 512;  ///< weight rows solved together
constexpr int kShrinkSteps = 21;         ///< a multiple of the three that one kernel call takes
constexpr float kShrinkStep = 0.01F;
constexpr std::int32_t kMagnitude = 0x7fffffff;  ///< of a float's bits

std::size_t index(std::int64_t value) {
  return static_cast<std::size_t>(value);
}

/// Scale of rows and the factor that weights are multiplied with before rounding.
struct RowScales {
  std::vector<float> scale, inverse;
  explicit RowScales(std::int64_t rows) : scale(index(rows), 1.0F), inverse(index(rows)) {}
  void set(std::int64_t row, float maximum) {
    if (maximum < num::kTinyRow) return;  // zeros with scale 1
    scale[index(row)] = num::quant_scale(maximum);
    inverse[index(row)] = num::quant_factor(maximum);
  }
};

/// Per weight row of a tile, in the Hessian's scaled unit.
struct RowSums {
  std::vector<double> objective, distance;
  explicit RowSums(std::int64_t rows) : objective(index(rows)), distance(index(rows)) {}
};

}  // namespace

/// The solution of kTileRows weight rows. Work arrays are transposed: a column of weights lies
/// together, [columns][2 * pitch_] with the solution's rows first and those of plain rounding after
/// them, so that one matrix product serves both.
struct TileSolver {
  TileSolver(ConstMatrixView weights, const FactoredHessian& hessian, const SolverOptions& options,
             Solution& solution)
      : w_(weights),
        h_(hessian),
        options_(options),
        out_(solution),
        live_(static_cast<std::int64_t>(hessian.order_.size())),
        block_factor_(index(kMaxBlockColumns * kMaxBlockColumns)),
        scratch_(index(2 * kMaxBlockColumns * kBlockRows)),
        values_(index(kMaxBlockColumns * kBlockRows)) {
    for (const float diagonal : hessian.diagonal_) {
      if (!(diagonal > 0)) dead_.push_back(static_cast<std::int64_t>(live_mask_.size()));
      live_mask_.push_back(diagonal > 0 ? kMagnitude : 0);
    }
  }

  void solve(std::int64_t first_row, std::int64_t rows, const CancelToken& cancel) {
    first_ = first_row;
    rows_ = rows;
    pitch_ = (rows + kBlockRows - 1) / kBlockRows * kBlockRows;
    d_.resize(index(live_ * 2 * pitch_));
    gather_weights();
    RowScales plain(pitch_), chosen(pitch_);
    for (std::int64_t r = 0; r < rows; ++r) choose_scales(r, plain, chosen);
    RowSums plain_sums(pitch_), sums(pitch_);
    for (std::int64_t begin = 0; begin < live_; begin += options_.block) {
      cancel.check();
      solve_columns(begin, std::min(options_.block, live_ - begin), plain, chosen, plain_sums,
                    sums);
    }
    for (std::int64_t r = 0; r < rows; ++r) {
      finish_row(r, plain, chosen, objective(plain_sums, r), objective(sums, r));
    }
  }

 private:
  /// d H dᵀ from ‖d R‖² of the damped Hessian.
  double objective(const RowSums& sums, std::int64_t row) const {
    const double damped = sums.objective[index(row)];
    return std::max(0.0, damped - h_.added_ * sums.distance[index(row)]) / h_.unit_;
  }

  void choose_scales(std::int64_t r, RowScales& plain, RowScales& chosen) {
    const std::span<const float> row = w_.row(first_ + r);
    // As integers the magnitudes order like the floats, with infinity and NaN above all.
    std::int32_t top = 0, top_live = 0;
    for (std::size_t j = 0; j < row.size(); ++j) {
      const auto bits = std::bit_cast<std::int32_t>(row[j]);
      top = std::max(top, bits & kMagnitude);
      top_live = std::max(top_live, bits & live_mask_[j]);
    }
    const auto largest = std::bit_cast<float>(top);
    const auto largest_live = std::bit_cast<float>(top_live);
    if (!std::isfinite(largest)) {
      fail(ErrorCode::kNumeric, "weight row {} holds a non-finite value", first_ + r);
    }
    plain.set(r, largest);
    if (largest_live < num::kTinyRow) {  // nothing is known of what the row does
      chosen.set(r, largest);
    } else {
      chosen.set(r, options_.clip_search ? searched_maximum(row, largest_live) : largest_live);
    }
  }

  float searched_maximum(std::span<const float> row, float largest) const {
    float maxima[kShrinkSteps], errors[kShrinkSteps];
    RowScales scales(kShrinkSteps);
    for (int i = 0; i < kShrinkSteps; ++i) {
      maxima[i] = largest * (1.0F - kShrinkStep * static_cast<float>(i));
      scales.set(i, maxima[i]);
    }
    for (int i = 0; i < kShrinkSteps; i += 3) {
      kernels_.rounding_errors(row.data(), h_.diagonal_.data(), w_.cols, scales.scale.data() + i,
                               scales.inverse.data() + i, errors + i);
    }
    return maxima[std::min_element(errors, errors + kShrinkSteps) - errors];
  }

  void solve_columns(std::int64_t begin, std::int64_t columns, const RowScales& plain,
                     const RowScales& chosen, RowSums& plain_sums, RowSums& sums) {
    const std::int64_t stride = 2 * pitch_;
    carried_.assign(index(columns * stride), 0.0F);
    if (begin > 0) {
      gemm_tn(columns, stride, begin, h_.factor_.data() + begin, live_, d_.data(), stride,
              carried_.data(), stride);
    }
    for (std::int64_t i = 0; i < columns; ++i) {
      const float* row = h_.factor_.data() + (begin + i) * live_ + begin;
      for (std::int64_t j = i + 1; j < columns; ++j) {
        block_factor_[index(j * kMaxBlockColumns + i)] = row[j];
      }
    }
    for (std::int64_t r = 0; r < pitch_; r += kBlockRows) {
      float part[4][kBlockRows] = {};
      float* d = d_.data() + begin * stride + r;
      SolveBlock block;
      block.columns = static_cast<int>(columns);
      block.factor = block_factor_.data();
      block.pivot_sq = h_.pivot_sq_.data() + begin;
      block.weights = d;
      block.carried = carried_.data() + r;
      block.carried_plain = carried_.data() + pitch_ + r;
      block.stride = stride;
      block.scale = chosen.scale.data() + r;
      block.inverse = chosen.inverse.data() + r;
      block.scale_plain = plain.scale.data() + r;
      block.inverse_plain = plain.inverse.data() + r;
      block.d = d;
      block.d_plain = d + pitch_;
      block.values = values_.data();
      block.objective = part[0];
      block.distance = part[1];
      block.objective_plain = part[2];
      block.distance_plain = part[3];
      block.scratch = scratch_.data();
      kernels_.solve_block(block);
      for (std::int64_t i = 0; i < kBlockRows; ++i) {
        sums.objective[index(r + i)] += part[0][i];
        sums.distance[index(r + i)] += part[1][i];
        plain_sums.objective[index(r + i)] += part[2][i];
        plain_sums.distance[index(r + i)] += part[3][i];
      }
      scatter_values(begin, columns, r);
    }
  }

  /// Puts the columns of weights, in the order of solving, where their errors will be.
  void gather_weights() {
    constexpr std::int64_t kRows = 16;              // one cache line of a column
    const std::int64_t row_stride = live_ + kRows;  // no two rows at a power of two apart
    gathered_.assign(index(kRows * row_stride), 0.0F);
    for (std::int64_t r = 0; r < pitch_; r += kRows) {
      for (std::int64_t i = 0; i < kRows; ++i) {
        float* to = gathered_.data() + i * row_stride;
        if (r + i >= rows_) {
          std::fill_n(to, live_, 0.0F);
          continue;
        }
        const float* from = w_.row(first_ + r + i).data();
        for (const std::int64_t j : h_.order_) *to++ = from[j];
      }
      for (std::int64_t j = 0; j < live_; ++j) {
        float* to = d_.data() + j * 2 * pitch_ + r;
        for (std::int64_t i = 0; i < kRows; ++i) to[i] = gathered_[index(i * row_stride + j)];
      }
    }
  }

  void scatter_values(std::int64_t begin, std::int64_t columns, std::int64_t r) {
    for (std::int64_t i = 0; i < std::min<std::int64_t>(kBlockRows, rows_ - r); ++i) {
      std::int8_t* to = out_.weights.values.data() + (first_ + r + i) * w_.cols;
      for (std::int64_t j = 0; j < columns; ++j) {
        to[h_.order_[index(begin + j)]] = values_[index(j * kBlockRows + i)];
      }
    }
  }

  void finish_row(std::int64_t r, const RowScales& plain, const RowScales& chosen,
                  double rounded_objective, double objective) {
    const std::int64_t row = first_ + r;
    const float unclipped = plain.scale[index(r)];
    const std::span<const float> weights = w_.row(row);
    std::int8_t* to = out_.weights.values.data() + row * w_.cols;
    float scale = chosen.scale[index(r)];
    if (!(objective < rounded_objective)) {
      // Compensation did not help (or changed nothing): plain rounding.
      scale = unclipped;
      for (const std::int64_t j : h_.order_) {
        to[j] = num::quantize(weights[index(j)], plain.inverse[index(r)]);
      }
      objective = rounded_objective;
      ++out_.rows_kept_rounded;
    }
    const float inverse = scale == unclipped ? plain.inverse[index(r)] : chosen.inverse[index(r)];
    for (const std::int64_t j : dead_) {
      const float steps = std::nearbyint(weights[index(j)] * inverse);
      to[j] = static_cast<std::int8_t>(std::clamp(steps, -127.0F, 127.0F));
    }
    out_.weights.scales[index(row)] = scale;
    out_.clip += static_cast<double>(scale) / static_cast<double>(unclipped);
    out_.objective += objective;
    out_.objective_rounded += rounded_objective;
  }

  ConstMatrixView w_;
  const FactoredHessian& h_;
  const SolverOptions& options_;
  Solution& out_;
  const RowKernels& kernels_ = row_kernels();
  std::int64_t live_, first_ = 0, rows_ = 0, pitch_ = 0;
  std::vector<float> d_;             ///< [live][2 pitch] w - ŵ where solved, else (left half) w
  std::vector<float> carried_;       ///< [columns][2 pitch]
  std::vector<float> block_factor_;  ///< the block's part of the factor, transposed
  std::vector<float> gathered_, scratch_;
  std::vector<std::int32_t> live_mask_;  ///< [k] kMagnitude, 0 for a dead channel
  std::vector<std::int64_t> dead_;
  std::vector<std::int8_t> values_;
};

Solution solve(ConstMatrixView weights, const FactoredHessian& hessian,
               const SolverOptions& options, const CancelToken& cancel) {
  if (weights.cols != hessian.size()) {
    fail(ErrorCode::kInternal, "solve: weights of {} columns for a Hessian of {} channels",
         weights.cols, hessian.size());
  }
  if (options.block < 1 || options.block > kMaxBlockColumns) {
    fail(ErrorCode::kInvalidArgument, "the solver's block is {} columns; expected 1 to {}",
         options.block, kMaxBlockColumns);
  }
  Solution solution;
  solution.weights = {weights.rows, weights.cols, {}, {}};
  solution.weights.values.resize(index(weights.rows * weights.cols));
  solution.weights.scales.resize(index(weights.rows));
  solution.clip = 0;
  TileSolver solver(weights, hessian, options, solution);
  for (std::int64_t row = 0; row < weights.rows; row += kTileRows) {
    solver.solve(row, std::min(kTileRows, weights.rows - row), cancel);
  }
  solution.clip = weights.rows > 0 ? solution.clip / static_cast<double>(weights.rows) : 1;
  return solution;
}

double quadratic_error(ConstMatrixView w, ConstMatrixView w_hat, ConstMatrixView h) {
  if (w.rows != w_hat.rows || w.cols != w_hat.cols || h.rows != w.cols || h.cols != w.cols) {
    fail(ErrorCode::kInternal, "quadratic_error: [{}, {}] and [{}, {}] under a Hessian of [{}, {}]",
         w.rows, w.cols, w_hat.rows, w_hat.cols, h.rows, h.cols);
  }
  double sum = 0;
  for (std::int64_t first = 0; first < w.rows; first += kTileRows) {
    const std::int64_t rows = std::min(kTileRows, w.rows - first);
    Matrix d(rows, w.cols), product(rows, w.cols);
    const float* a = w.data + first * w.cols;
    const float* b = w_hat.data + first * w.cols;
    for (std::size_t i = 0; i < d.values.size(); ++i) d.values[i] = a[i] - b[i];
    gemm_nn(d, h, 1, 0, product);
    for (std::size_t i = 0; i < d.values.size(); ++i) {
      sum += static_cast<double>(d.values[i]) * product.values[i];
    }
  }
  return sum;
}

}  // namespace haq::quant
