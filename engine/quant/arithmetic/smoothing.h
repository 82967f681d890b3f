// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/base/progress.h"
#include "engine/base/threads.h"
#include "engine/quant/arithmetic/matrix.h"

namespace haq::quant {

/// A linear layer that reads the smoothed input.
struct SmoothingReader {
  ConstMatrixView weights;  ///< [n, channels]
  ConstMatrixView rows;     ///< sample of its inputs [r, channels]; readers may share one sample
  double weight = 1;        ///< of its error in the sum (e.g. an expert's share of the tokens)
};

/// What to search over. Channels of one tie group get one factor (a kv head's value channel is read
/// by every query head of its group).
struct SmoothingProblem {
  std::vector<SmoothingReader> readers;
  std::vector<float> activation_max;  ///< [channels] max|x| over all calibration rows
  std::vector<std::int32_t> ties;     ///< [channels] -> factor index; empty: each its own
  std::int64_t factors = 0;           ///< number of factor indices; 0: channels
};

enum class SmoothingKind { kNone, kAlpha, kThreshold };
const char* to_string(SmoothingKind kind);  ///< "none", "alpha", "threshold"

struct SmoothingChoice {
  SmoothingKind kind = SmoothingKind::kNone;
  double alpha = 0;          ///< kAlpha
  double threshold = 0;      ///< kThreshold: its position
  std::vector<float> scale;  ///< [factors], all 1 for kNone; > 0 and finite; x is divided by it
  double error_none = 0;     ///< relative output error without smoothing
  double error = 0;          ///< with the choice; <= error_none
};

struct SmoothingOptions {
  std::vector<double> alphas;  ///< candidates of s_j = max|x_j|^α / max|W_j|^(1-α)
  /// Positions u of candidates s_j = max(max|x_j| / t, 1), t = largest^(1-u) median^u: on the way
  /// (in logarithms) from the largest max|x| of all channels to the median one.
  std::vector<double> thresholds;
  bool allow_none = true;  ///< false: the best of the candidates whatever it costs
  /// {0, .05 ... 1} and 12 thresholds in equal steps up to the median.
  static SmoothingOptions full();
  static SmoothingOptions coarse();  ///< {0.3, 0.5, 0.65, 0.8} and 3 thresholds, for quick passes
  static SmoothingOptions fixed(double alpha);  ///< SmoothQuant: this α and nothing else
};

/// s for one candidate, normalised so that the geometric mean over live channels is 1, limited to
/// [2^-16, 2^16]. Channels never active or without weights get 1. Throws kNumeric for a maximum
/// that is not finite.
std::vector<float> alpha_scale(const SmoothingProblem& problem, double alpha);
std::vector<float> threshold_scale(const SmoothingProblem& problem, double threshold);

/// The candidate with the smallest Σ weight * ‖x Wᵀ - Q(x/s) Q(W s)ᵀ‖² (weights and activations
/// quantized as at run time), relative to Σ weight * ‖x Wᵀ‖². "No smoothing" wins ties, then the
/// earlier candidate. Runs candidates in parallel on `pool`; the result does not depend on the
/// thread count. Besides the problem the memory holds the exact outputs of some readers (64 MiB, or
/// one reader's) and one small tile per thread. Throws kCancelled, kNumeric for non-finite values.
SmoothingChoice search_smoothing(const SmoothingProblem& problem, const SmoothingOptions& options,
                                 ThreadPool& pool, const CancelToken& cancel = {});

}  // namespace haq::quant
