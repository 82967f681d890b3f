// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/quant/arithmetic/smoothing.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "engine/base/error.h"
#include "engine/quant/arithmetic/smoothing_error.h"

namespace haq::quant {
namespace {

constexpr double kLargestLogScale = 16 * 0.6931471805599453;  // 2^16

std::size_t index(std::int64_t value) {
  return static_cast<std::size_t>(value);
}

std::int64_t channels_of(const SmoothingProblem& problem) {
  return static_cast<std::int64_t>(problem.activation_max.size());
}

void check(const SmoothingProblem& problem) {
  const std::int64_t channels = channels_of(problem);
  for (const SmoothingReader& reader : problem.readers) {
    if (reader.weights.cols != channels || reader.rows.cols != channels) {
      fail(ErrorCode::kInternal,
           "smoothing {} channels: a reader has weights of {} and rows of {} channels", channels,
           reader.weights.cols, reader.rows.cols);
    }
  }
  if (problem.ties.empty()) {
    if (problem.factors != 0 && problem.factors != channels) {
      fail(ErrorCode::kInternal, "smoothing: {} factors for {} channels without ties",
           problem.factors, channels);
    }
    return;
  }
  const auto in_range = [&](std::int32_t factor) {
    return factor >= 0 && factor < problem.factors;
  };
  if (static_cast<std::int64_t>(problem.ties.size()) != channels ||
      !std::all_of(problem.ties.begin(), problem.ties.end(), in_range)) {
    fail(ErrorCode::kInternal, "smoothing: ties of {} channels do not fit {} channels, {} factors",
         problem.ties.size(), channels, problem.factors);
  }
}

std::size_t factor_of(const SmoothingProblem& problem, std::size_t channel) {
  return problem.ties.empty() ? channel : static_cast<std::size_t>(problem.ties[channel]);
}

/// Largest magnitudes per factor, of activations and of the weights that read them.
struct Maxima {
  std::vector<float> activation, weight;
  bool live(std::size_t factor) const { return activation[factor] > 0 && weight[factor] > 0; }
  std::size_t size() const { return activation.size(); }
};

void add_column_maxima(ConstMatrixView weights, std::vector<float>& maxima) {
  for (std::int64_t r = 0; r < weights.rows; ++r) {
    const float* w = weights.row(r).data();
    for (std::size_t j = 0; j < maxima.size(); ++j) {
      const float magnitude = std::abs(w[j]);
      maxima[j] = magnitude > maxima[j] ? magnitude : maxima[j];
    }
  }
}

Maxima combine(const SmoothingProblem& problem, const std::vector<float>& weight_max) {
  const std::int64_t count = problem.ties.empty() ? channels_of(problem) : problem.factors;
  Maxima maxima{std::vector<float>(index(count)), std::vector<float>(index(count))};
  for (std::size_t j = 0; j < weight_max.size(); ++j) {
    const std::size_t f = factor_of(problem, j);
    if (!std::isfinite(problem.activation_max[j]) || !std::isfinite(weight_max[j])) {
      fail(ErrorCode::kNumeric, "channel {}: a largest magnitude is not finite", j);
    }
    maxima.activation[f] = std::max(maxima.activation[f], problem.activation_max[j]);
    maxima.weight[f] = std::max(maxima.weight[f], weight_max[j]);
  }
  return maxima;
}

Maxima find_maxima(const SmoothingProblem& problem) {
  check(problem);
  std::vector<float> weight_max(problem.activation_max.size());
  for (const SmoothingReader& reader : problem.readers) {
    add_column_maxima(reader.weights, weight_max);
  }
  return combine(problem, weight_max);
}

Maxima find_maxima(const SmoothingProblem& problem, ThreadPool& pool) {
  check(problem);
  std::vector<std::vector<float>> parts(index(pool.size()),
                                        std::vector<float>(problem.activation_max.size()));
  pool.parallel_dynamic(
      static_cast<std::int64_t>(problem.readers.size()), [&](std::int64_t i, int thread) {
        add_column_maxima(problem.readers[index(i)].weights, parts[index(thread)]);
      });
  for (const std::vector<float>& part : parts) {
    for (std::size_t j = 0; j < part.size(); ++j) parts[0][j] = std::max(parts[0][j], part[j]);
  }
  return combine(problem, parts[0]);
}

/// exp of the logarithms (of live factors) with their mean taken away, within the limits; 1
/// elsewhere.
template <class Log>
std::vector<float> normalized(const Maxima& maxima, Log log_scale) {
  std::vector<double> logs(maxima.size());
  double sum = 0;
  int live = 0;
  for (std::size_t f = 0; f < logs.size(); ++f) {
    if (!maxima.live(f)) continue;
    logs[f] = log_scale(f);
    sum += logs[f];
    ++live;
  }
  std::vector<float> scale(maxima.size(), 1.0F);
  for (std::size_t f = 0; f < logs.size(); ++f) {
    if (!maxima.live(f)) continue;
    const double log = std::clamp(logs[f] - sum / live, -kLargestLogScale, kLargestLogScale);
    scale[f] = static_cast<float>(std::exp(log));
  }
  return scale;
}

std::vector<float> alpha_scale(const Maxima& maxima, double alpha) {
  return normalized(maxima, [&](std::size_t f) {
    return alpha * std::log(static_cast<double>(maxima.activation[f])) -
           (1 - alpha) * std::log(static_cast<double>(maxima.weight[f]));
  });
}

std::vector<float> threshold_scale(const Maxima& maxima, double position) {
  std::vector<double> logs;
  for (std::size_t f = 0; f < maxima.size(); ++f) {
    if (maxima.live(f)) logs.push_back(std::log(static_cast<double>(maxima.activation[f])));
  }
  if (logs.empty()) return std::vector<float>(maxima.size(), 1.0F);
  const auto middle = logs.begin() + static_cast<std::ptrdiff_t>(logs.size() / 2);
  std::nth_element(logs.begin(), middle, logs.end());
  const double median = *middle;
  const double largest = *std::max_element(logs.begin(), logs.end());
  const double log_threshold = (1 - position) * largest + position * median;
  return normalized(maxima, [&](std::size_t f) {
    return std::max(0.0, std::log(static_cast<double>(maxima.activation[f])) - log_threshold);
  });
}

std::vector<float> per_channel(const SmoothingProblem& problem, const std::vector<float>& factors) {
  std::vector<float> scale(problem.activation_max.size());
  for (std::size_t j = 0; j < scale.size(); ++j) scale[j] = factors[factor_of(problem, j)];
  return scale;
}

}  // namespace

const char* to_string(SmoothingKind kind) {
  switch (kind) {
    case SmoothingKind::kAlpha:
      return "alpha";
    case SmoothingKind::kThreshold:
      return "threshold";
    case SmoothingKind::kNone:
      break;
  }
  return "none";
}

SmoothingOptions SmoothingOptions::full() {
  SmoothingOptions options;
  for (int i = 0; i <= 20; ++i) options.alphas.push_back(i / 20.0);
  for (int i = 1; i <= 12; ++i) options.thresholds.push_back(i / 12.0);
  return options;
}

SmoothingOptions SmoothingOptions::coarse() {
  SmoothingOptions options;
  options.alphas = {0.3, 0.5, 0.65, 0.8};
  options.thresholds = {1 / 3.0, 2 / 3.0, 1.0};
  return options;
}

SmoothingOptions SmoothingOptions::fixed(double alpha) {
  SmoothingOptions options;
  options.alphas = {alpha};
  options.allow_none = false;
  return options;
}

std::vector<float> alpha_scale(const SmoothingProblem& problem, double alpha) {
  return alpha_scale(find_maxima(problem), alpha);
}

std::vector<float> threshold_scale(const SmoothingProblem& problem, double threshold) {
  return threshold_scale(find_maxima(problem), threshold);
}

SmoothingChoice search_smoothing(const SmoothingProblem& problem, const SmoothingOptions& options,
                                 ThreadPool& pool, const CancelToken& cancel) {
  if (!options.allow_none && options.alphas.empty() && options.thresholds.empty()) {
    fail(ErrorCode::kInvalidArgument, "smoothing: no candidate is left to choose from");
  }
  const Maxima maxima = find_maxima(problem, pool);
  std::vector<SmoothingChoice> choices(1);
  choices[0].scale.assign(maxima.size(), 1.0F);
  for (const double alpha : options.alphas) {
    choices.push_back({SmoothingKind::kAlpha, alpha, 0, alpha_scale(maxima, alpha)});
  }
  for (const double threshold : options.thresholds) {
    choices.push_back(
        {SmoothingKind::kThreshold, 0, threshold, threshold_scale(maxima, threshold)});
  }
  std::vector<std::vector<float>> scales;
  for (const SmoothingChoice& choice : choices) {
    scales.push_back(per_channel(problem, choice.scale));
  }
  const SmoothingErrors found = smoothing_errors(problem.readers, scales, pool, cancel);
  std::size_t best = options.allow_none ? 0 : 1;
  for (std::size_t i = best + 1; i < choices.size(); ++i) {
    if (found.errors[i] < found.errors[best]) best = i;
  }
  SmoothingChoice choice = std::move(choices[best]);
  const auto relative = [&](double error) { return found.signal > 0 ? error / found.signal : 0; };
  choice.error_none = relative(found.errors[0]);
  choice.error = relative(found.errors[best]);
  return choice;
}

}  // namespace haq::quant
