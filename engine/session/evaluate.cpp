// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/session/evaluate.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>

#include "engine/base/error.h"
#include "engine/base/threads.h"

namespace haq::session {

namespace {

/// Logits of one chunk are kept below this, however large the vocabulary is.
constexpr std::int64_t kMaxLogitBytes = std::int64_t{256} << 20;

std::int64_t effective_context(const Model& model, const EvaluateOptions& options) {
  const std::int64_t most = model.max_context();
  if (options.context == 0) return std::min<std::int64_t>(2048, most);
  if (options.context < 2 || options.context > most) {
    fail(ErrorCode::kInvalidArgument, "context is {}, expected 2 to {} (the model's maximum)",
         options.context, most);
  }
  return options.context;
}

std::string recipe_of(const EvaluateOptions& options, std::int64_t ids) {
  const std::int64_t per_window = options.context - (options.bos ? 1 : 0);
  std::string windows =
      options.stride == 0 || options.stride == per_window
          ? fmt::format("consecutive windows of {} ids", per_window)
          : fmt::format("windows of {} ids that start {} ids apart, the last {} ids of each scored",
                        per_window, options.stride, options.stride);
  return fmt::format(
      "the first {} ids of the text as one stream, {}{}; each window starts from an "
      "empty cache; {}; perplexity = exp(mean loss), losses in float64",
      ids, windows, options.bos ? ", each preceded by the BOS id" : "",
      options.bos ? "every id can be scored" : "the first id of a window is never scored");
}

/// Loss of one id, and what a comparison needs, of one row.
struct RowScore {
  double nll = 0, base_nll = 0, kl = 0;
  bool same_top = false;
};

/// Reads windows with one or two models and scores them.
class WindowScorer {
 public:
  WindowScorer(Model& model, Model* base, std::optional<std::int32_t> bos)
      : model_(model), base_(base), bos_(bos), pool_(model.threads()) {
    vocab_ = model.checkpoint().config().vocab;
    chunk_ = std::clamp<std::int64_t>(kMaxLogitBytes / (4 * std::int64_t{vocab_}), 1,
                                      model.prefill_chunk());
  }

  /// Scores of ids [window.first_scored, window.end), in order.
  std::vector<RowScore> score(std::span<const std::int32_t> ids, const Window& window,
                              const CancelToken& cancel) {
    std::vector<std::int32_t> input;
    if (bos_) input.push_back(*bos_);
    input.insert(input.end(), ids.begin() + window.begin, ids.begin() + window.end);
    // Row r predicts input[r + 1]; the last row predicts an id beyond the window.
    const auto first_row =
        static_cast<std::int64_t>(input.size()) - 1 - (window.end - window.first_scored);
    const auto rows = static_cast<std::int64_t>(input.size()) - 1;
    std::vector<RowScore> scores(static_cast<std::size_t>(rows - first_row));
    std::unique_ptr<nn::Sequence> sequence = start(model_, rows);
    std::unique_ptr<nn::Sequence> base_sequence = base_ ? start(*base_, rows) : nullptr;
    for (std::int64_t done = 0; done < rows;) {
      // Rows before the first scored one need no logits, so they make chunks of their own.
      const bool scored = done >= first_row;
      const std::int64_t limit = scored ? rows : first_row;
      const std::int64_t count =
          std::min<std::int64_t>(scored ? chunk_ : model_.prefill_chunk(), limit - done);
      const std::span<const std::int32_t> part = std::span<const std::int32_t>(input).subspan(
          static_cast<std::size_t>(done), static_cast<std::size_t>(count));
      const std::span<const float> logits = forward(model_, *sequence, part, scored, cancel);
      const std::span<const float> base_logits =
          base_ ? forward(*base_, *base_sequence, part, scored, cancel) : std::span<const float>();
      if (scored) {
        score_rows(logits, base_logits,
                   std::span<const std::int32_t>(input).subspan(static_cast<std::size_t>(done) + 1,
                                                                static_cast<std::size_t>(count)),
                   std::span(scores).subspan(static_cast<std::size_t>(done - first_row),
                                             static_cast<std::size_t>(count)));
      }
      done += count;
    }
    return scores;
  }

 private:
  static std::unique_ptr<nn::Sequence> start(Model& model, std::int64_t length) {
    std::unique_ptr<nn::Sequence> sequence = model.decoder().new_sequence();
    sequence->set_planned_length(length);
    return sequence;
  }

  static std::span<const float> forward(Model& model, nn::Sequence& sequence,
                                        std::span<const std::int32_t> ids, bool logits,
                                        const CancelToken& cancel) {
    nn::Segment segment;
    segment.sequence = &sequence;
    segment.ids = ids;
    segment.logits = logits ? nn::Segment::Logits::kAll : nn::Segment::Logits::kNone;
    return model.decoder().forward(std::span(&segment, 1), nullptr, &cancel);
  }

  void score_rows(std::span<const float> logits, std::span<const float> base_logits,
                  std::span<const std::int32_t> targets, std::span<RowScore> scores) {
    const auto vocab = static_cast<std::size_t>(vocab_);
    pool_.parallel_for(
        static_cast<std::int64_t>(targets.size()), 1,
        [&](std::int64_t begin, std::int64_t end, int) {
          std::vector<double> log_p(vocab), log_base(base_ ? vocab : 0);
          for (auto r = static_cast<std::size_t>(begin); r < static_cast<std::size_t>(end); ++r) {
            const auto target = static_cast<std::size_t>(targets[r]);
            const std::span<const float> row = logits.subspan(r * vocab, vocab);
            log_softmax(row, log_p);
            scores[r].nll = -log_p[target];
            if (!base_) continue;
            const std::span<const float> base_row = base_logits.subspan(r * vocab, vocab);
            log_softmax(base_row, log_base);
            scores[r].base_nll = -log_base[target];
            scores[r].kl = kl_divergence(log_base, log_p);
            scores[r].same_top =
                std::max_element(row.begin(), row.end()) - row.begin() ==
                std::max_element(base_row.begin(), base_row.end()) - base_row.begin();
          }
        });
  }

  Model& model_;
  Model* base_;
  std::optional<std::int32_t> bos_;
  ThreadPool pool_;
  int vocab_ = 0;
  std::int64_t chunk_ = 1;
};

std::optional<Interval> exponential(const std::optional<Interval>& interval) {
  if (!interval) return std::nullopt;
  return Interval{std::exp(interval->low), std::exp(interval->high)};
}

void check_base(const Model& model, const Model* base, std::int64_t context) {
  if (!base) return;
  const int vocab = model.checkpoint().config().vocab, other = base->checkpoint().config().vocab;
  if (other != vocab) {
    fail(ErrorCode::kInvalidArgument,
         "the base model has a vocabulary of {}, the model one of {}: they cannot be compared",
         other, vocab);
  }
  if (context > base->max_context()) {
    fail(ErrorCode::kInvalidArgument, "context is {}, the base model holds {}", context,
         base->max_context());
  }
}

/// Scores the windows of `ids`; the caller fills in context and recipe.
EvaluateResult measure(Model& model, Model* base, std::span<const std::int32_t> ids,
                       const std::vector<Window>& windows, std::optional<std::int32_t> bos,
                       const ProgressCallback& progress, const CancelToken& cancel) {
  const auto start = std::chrono::steady_clock::now();
  EvaluateResult result;
  result.windows_planned = static_cast<std::int64_t>(windows.size());
  ClusteredMean loss, kl, difference, base_loss;
  std::int64_t agreeing = 0;
  WindowScorer scorer(model, base, bos);
  for (const Window& window : windows) {
    if (progress) {
      progress({"evaluating", static_cast<std::uint64_t>(window.begin),
                static_cast<std::uint64_t>(ids.size()), "tokens"});
    }
    std::vector<RowScore> scores;
    try {
      scores = scorer.score(ids, window, cancel);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kCancelled || result.windows == 0) throw;
      result.cancelled = true;
      break;
    }
    double sum = 0;
    for (const RowScore& score : scores) {
      if (!std::isfinite(score.nll)) {
        fail(ErrorCode::kNumeric, "the loss of an id in window {} is not finite", result.windows);
      }
      sum += score.nll;
      loss.add(score.nll);
      if (!base) continue;
      base_loss.add(score.base_nll);
      kl.add(score.kl);
      difference.add(score.nll - score.base_nll);
      agreeing += score.same_top ? 1 : 0;
    }
    for (ClusteredMean* mean : {&loss, &kl, &difference, &base_loss}) mean->end_window();
    result.nll_sum_per_window.push_back(sum);
    ++result.windows;
  }

  result.tokens = loss.count();
  result.nll = loss.mean();
  result.perplexity = std::exp(result.nll);
  result.ci95 = exponential(loss.interval95());
  result.interval_method =
      fmt::format("95 % by Student's t over {} clusters ({}), ratio estimator of the mean loss",
                  loss.cluster_count(), loss.cluster_name());
  if (base) {
    Comparison comparison;
    comparison.kld_mean = kl.mean();
    comparison.kld_ci95 = kl.interval95();
    comparison.top1_agreement = static_cast<double>(agreeing) / static_cast<double>(result.tokens);
    comparison.ppl_ratio = std::exp(difference.mean());
    comparison.ppl_ratio_ci95 = exponential(difference.interval95());
    comparison.base_perplexity = std::exp(base_loss.mean());
    result.comparison = comparison;
  }
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

}  // namespace

std::vector<Window> plan_windows(std::int64_t count, const EvaluateOptions& options) {
  const std::int64_t width = options.context - (options.bos ? 1 : 0);
  const std::int64_t stride = options.stride == 0 ? width : options.stride;
  if (width < 1 || options.context < 2) {
    fail(ErrorCode::kInvalidArgument, "context is {}, expected 2 or more", options.context);
  }
  if (stride < 1 || stride > width) {
    fail(ErrorCode::kInvalidArgument, "stride is {}, expected 1 to {} (the ids of a window)",
         options.stride, width);
  }
  std::vector<Window> windows;
  std::int64_t scored_to = 0;
  for (std::int64_t begin = 0; begin < count; begin += stride) {
    Window window;
    window.begin = begin;
    window.end = std::min(begin + width, count);
    // The last S ids, none of them twice (the last window may be shorter).
    window.first_scored = std::max({window.end - stride, scored_to, begin + (options.bos ? 0 : 1)});
    scored_to = window.end;
    if (window.first_scored < window.end) windows.push_back(window);
    if (window.end == count) break;
  }
  return windows;
}

void log_softmax(std::span<const float> logits, std::span<double> out) {
  const double maximum = static_cast<double>(*std::max_element(logits.begin(), logits.end()));
  double sum = 0;
  for (const float value : logits) sum += std::exp(static_cast<double>(value) - maximum);
  const double log_sum = std::log(sum);
  for (std::size_t i = 0; i < logits.size(); ++i) {
    out[i] = (static_cast<double>(logits[i]) - maximum) - log_sum;
  }
}

double kl_divergence(std::span<const double> base, std::span<const double> model) {
  double sum = 0;
  for (std::size_t i = 0; i < base.size(); ++i) {
    if (base[i] == -std::numeric_limits<double>::infinity()) continue;  // 0 log 0 = 0
    sum += std::exp(base[i]) * (base[i] - model[i]);
  }
  return std::max(sum, 0.0);  // rounding may leave a tiny negative value
}

EvaluateResult evaluate(Model& model, Model* base, std::span<const std::int32_t> ids,
                        const EvaluateOptions& requested, const ProgressCallback& progress,
                        const CancelToken& cancel) {
  EvaluateOptions options = requested;
  options.context = effective_context(model, requested);
  const model::ModelConfig& config = model.checkpoint().config();
  std::optional<std::int32_t> bos;
  if (options.bos) {
    if (config.bos_id < 0 || config.bos_id >= config.vocab) {
      fail(ErrorCode::kInvalidArgument, "{} names no BOS id in config.json",
           model.checkpoint().name());
    }
    bos = static_cast<std::int32_t>(config.bos_id);
  }
  check_base(model, base, options.context);
  if (options.max_tokens < 0) {
    fail(ErrorCode::kInvalidArgument, "max-tokens is {}, expected 0 (all) or more",
         options.max_tokens);
  }
  if (options.max_tokens > 0 && static_cast<std::size_t>(options.max_tokens) < ids.size()) {
    ids = ids.first(static_cast<std::size_t>(options.max_tokens));
  }
  const std::vector<Window> windows = plan_windows(static_cast<std::int64_t>(ids.size()), options);
  if (windows.empty()) {
    fail(ErrorCode::kInvalidArgument, "the text has {} ids, none of them can be scored",
         ids.size());
  }
  EvaluateResult result = measure(model, base, ids, windows, bos, progress, cancel);
  result.context = options.context;
  result.recipe = recipe_of(options, static_cast<std::int64_t>(ids.size()));
  return result;
}

EvaluateResult evaluate_sequences(Model& model, Model* base,
                                  std::span<const std::vector<std::int32_t>> sequences,
                                  const ProgressCallback& progress, const CancelToken& cancel) {
  std::vector<std::int32_t> ids;
  std::vector<Window> windows;
  std::int64_t longest = 0;
  for (const auto& sequence : sequences) {
    const auto begin = static_cast<std::int64_t>(ids.size());
    const auto length = static_cast<std::int64_t>(sequence.size());
    longest = std::max(longest, length);
    ids.insert(ids.end(), sequence.begin(), sequence.end());
    if (length >= 2) windows.push_back({begin, begin + length, begin + 1});
  }
  if (windows.empty()) {
    fail(ErrorCode::kInvalidArgument, "there is no sequence of 2 ids or more to measure on");
  }
  if (longest > model.max_context()) {
    fail(ErrorCode::kInvalidArgument, "a sequence has {} ids, the model holds {}", longest,
         model.max_context());
  }
  check_base(model, base, longest);
  EvaluateResult result = measure(model, base, ids, windows, std::nullopt, progress, cancel);
  result.context = longest;
  result.recipe = fmt::format(
      "{} sequences of up to {} ids, {} in all; each starts from an empty cache; the first id of a "
      "sequence is never scored; perplexity = exp(mean loss), losses in float64",
      windows.size(), longest, ids.size());
  return result;
}

}  // namespace haq::session
