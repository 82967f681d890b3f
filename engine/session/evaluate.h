// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/base/progress.h"
#include "engine/session/session.h"
#include "engine/session/statistics.h"

namespace haq::session {

struct EvaluateOptions {
  std::int64_t context =
      0;                    ///< ids per window, the BOS included; 0: min(2048, the model's maximum)
  std::int64_t stride = 0;  ///< 0: windows without overlap; S: windows start S ids apart and each
                            ///< scores its last S ids
  std::int64_t max_tokens = 0;  ///< use only the first N ids of the text; 0: all
  bool bos = false;             ///< put the model's BOS id before each window
};

/// Ids [begin, end) of the text; those from `first_scored` on count.
struct Window {
  std::int64_t begin = 0, end = 0, first_scored = 0;
};
/// The windows of a text of `count` ids. Without a BOS a window's first id has nothing to be
/// predicted from and is never scored. Throws kInvalidArgument for a context or stride that makes
/// no sense.
std::vector<Window> plan_windows(std::int64_t count, const EvaluateOptions& options);

/// log softmax of one row, in float64; `out` has the row's length.
void log_softmax(std::span<const float> logits, std::span<double> out);
/// KL(base || model) in nats of two rows of log probabilities.
double kl_divergence(std::span<const double> base, std::span<const double> model);

/// How a model differs from its base on the same ids.
struct Comparison {
  double kld_mean = 0;  ///< mean KL(base || model), nats
  std::optional<Interval> kld_ci95;
  double top1_agreement = 0;               ///< share of rows with the same most probable id, 0..1
  double ppl_ratio = 0;                    ///< model / base
  std::optional<Interval> ppl_ratio_ci95;  ///< from the paired differences of the losses
  double base_perplexity = 0;
};

struct EvaluateResult {
  double nll = 0;  ///< mean over the scored ids, nats
  double perplexity = 0;
  std::optional<Interval> ci95;  ///< of the perplexity
  std::int64_t tokens = 0;       ///< scored ids
  std::int64_t windows = 0, windows_planned = 0;
  std::int64_t context = 0;
  double seconds = 0;
  std::string recipe;           ///< one sentence that lets somebody else repeat the measurement
  std::string interval_method;  ///< how the interval was made
  bool cancelled = false;       ///< stopped early: figures of the windows finished so far
  std::optional<Comparison> comparison;
  std::vector<double> nll_sum_per_window;
};

/// Perplexity of a text given as one stream of ids; with `base` also the divergence from it. Both
/// models read each window side by side, chunk by chunk, so that no logits are kept. Losses are
/// float64 log-softmax of float32 logits. Throws kInvalidArgument for a text without an id to score
/// or for a base with another vocabulary; kCancelled when stopped before the first window was
/// finished.
EvaluateResult evaluate(Model& model, Model* base, std::span<const std::int32_t> ids,
                        const EvaluateOptions& options, const ProgressCallback& progress = {},
                        const CancelToken& cancel = {});
/// The same over sequences of ids, each a window of its own, every id but a sequence's first scored.
EvaluateResult evaluate_sequences(Model& model, Model* base,
                                  std::span<const std::vector<std::int32_t>> sequences,
                                  const ProgressCallback& progress = {},
                                  const CancelToken& cancel = {});

}  // namespace haq::session
