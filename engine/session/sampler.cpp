// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/session/sampler.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "engine/base/error.h"

namespace haq::session {

namespace {

constexpr float kOff = -std::numeric_limits<float>::infinity();

void require(bool ok, const char* name, double value, const char* range) {
  if (!ok) fail(ErrorCode::kInvalidArgument, "{} is {}, expected {}", name, value, range);
}

/// Divides positive and multiplies negative logits, once per distinct token of the history.
void apply_penalty(std::span<float> logits, std::span<const std::int32_t> history, float penalty) {
  std::vector<bool> seen(logits.size(), false);
  for (const std::int32_t id : history) {
    if (id < 0 || static_cast<std::size_t>(id) >= logits.size()) {
      fail(ErrorCode::kInvalidArgument,
           "token id {} in the history is outside the vocabulary of {}", id, logits.size());
    }
    const auto i = static_cast<std::size_t>(id);
    if (seen[i]) continue;
    seen[i] = true;
    logits[i] = logits[i] < 0 ? logits[i] * penalty : logits[i] / penalty;
  }
}

float checked_maximum(std::span<const float> logits) {
  float maximum = kOff;
  for (const float value : logits) {
    if (std::isnan(value) || value == std::numeric_limits<float>::infinity()) {
      fail(ErrorCode::kNumeric, "a logit is not finite: the model's output cannot be sampled");
    }
    maximum = std::max(maximum, value);
  }
  if (maximum == kOff) fail(ErrorCode::kNumeric, "no token has a finite logit");
  return maximum;
}

/// Keeps the k largest and all ties with the k-th.
void cut_top_k(std::span<float> logits, int k) {
  if (k <= 0 || static_cast<std::size_t>(k) >= logits.size()) return;
  std::vector<float> sorted(logits.begin(), logits.end());
  std::nth_element(sorted.begin(), sorted.begin() + (k - 1), sorted.end(), std::greater<>());
  const float threshold = sorted[static_cast<std::size_t>(k) - 1];
  for (float& value : logits) {
    if (value < threshold) value = kOff;
  }
}

/// exp(x - max) of every logit and their sum: the difference in float32, as the reference computes
/// it, the rest in float64.
struct Weights {
  std::vector<double> values;
  double sum = 0;
};
Weights exponentials(std::span<const float> logits, float maximum) {
  Weights weights;
  weights.values.resize(logits.size(), 0.0);
  for (std::size_t i = 0; i < logits.size(); ++i) {
    if (logits[i] == kOff) continue;
    weights.values[i] = std::exp(static_cast<double>(logits[i] - maximum));
    weights.sum += weights.values[i];
  }
  return weights;
}

/// Drops, from the least probable on, while the cumulative probability is <= 1 - p; the token that
/// crosses p stays, one at least.
void cut_top_p(std::span<float> logits, float maximum, float p) {
  if (p >= 1) return;
  const Weights weights = exponentials(logits, maximum);
  const double budget = (1.0 - static_cast<double>(p)) * weights.sum;
  // Tokens of at most budget / n each cannot exceed the budget together: they go without sorting,
  // which spares a large vocabulary a full sort.
  const double negligible = budget / static_cast<double>(logits.size());
  double dropped = 0;
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    if (logits[i] == kOff) continue;
    if (weights.values[i] <= negligible && logits[i] < maximum) {
      dropped += weights.values[i];
      logits[i] = kOff;
    } else {
      order.push_back(i);
    }
  }
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return logits[a] < logits[b]; });
  for (std::size_t i = 0; i + 1 < order.size(); ++i) {
    dropped += weights.values[order[i]];
    if (dropped > budget) break;
    logits[order[i]] = kOff;
  }
}

/// Drops tokens below min_p times the probability of the most probable one.
void cut_min_p(std::span<float> logits, float maximum, float min_p) {
  if (min_p <= 0) return;
  for (float& value : logits) {
    if (value != kOff &&
        std::exp(static_cast<double>(value - maximum)) < static_cast<double>(min_p)) {
      value = kOff;
    }
  }
}

/// Logits after penalty, temperature and all cuts (dropped ones are -inf), and their maximum.
float filter(std::span<float> logits, std::span<const std::int32_t> history,
             const SamplingOptions& options) {
  if (options.repetition_penalty != 1) {
    apply_penalty(logits, history, options.repetition_penalty);
  }
  for (float& value : logits) value /= options.temperature;
  const float maximum = checked_maximum(logits);
  cut_top_k(logits, options.top_k);
  cut_top_p(logits, maximum, options.top_p);
  cut_min_p(logits, maximum, options.min_p);
  return maximum;
}

/// One step of splitmix64 (Vigna, public domain description), which spreads a seed over the state.
std::uint64_t splitmix64(std::uint64_t& state) {
  std::uint64_t z = (state += 0x9e3779b97f4a7c15ULL);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

/// One step of xoshiro256++ (Blackman and Vigna 2019, "Scrambled linear pseudorandom number
/// generators").
std::uint64_t xoshiro256pp(std::uint64_t (&s)[4]) {
  const std::uint64_t result = std::rotl(s[0] + s[3], 23) + s[0];
  const std::uint64_t t = s[1] << 17;
  s[2] ^= s[0];
  s[3] ^= s[1];
  s[1] ^= s[2];
  s[0] ^= s[3];
  s[2] ^= t;
  s[3] = std::rotl(s[3], 45);
  return result;
}

}  // namespace

void SamplingOptions::check() const {
  require(std::isfinite(temperature) && temperature >= 0 && temperature <= 100, "temperature",
          temperature, "0 (greedy) to 100");
  require(top_k >= 0, "top-k", top_k, "0 (off) or more");
  require(top_p > 0 && top_p <= 1, "top-p", top_p, "a value above 0, up to 1 (off)");
  require(min_p >= 0 && min_p <= 1, "min-p", min_p, "0 (off) to 1");
  require(repetition_penalty >= 0.01F && repetition_penalty <= 100, "repeat-penalty",
          repetition_penalty, "0.01 to 100 (1: off)");
}

std::vector<float> distribution(std::span<const float> logits,
                                std::span<const std::int32_t> history,
                                const SamplingOptions& options) {
  options.check();
  require(options.temperature > 0, "temperature", options.temperature,
          "a value above 0 for a distribution");
  std::vector<float> work(logits.begin(), logits.end());
  const float maximum = filter(work, history, options);
  const Weights weights = exponentials(work, maximum);
  for (std::size_t i = 0; i < work.size(); ++i) {
    work[i] = static_cast<float>(weights.values[i] / weights.sum);
  }
  return work;
}

int deciding_logits(const SamplingOptions& options) {
  // A penalty moves logits past each other before any is cut.
  if (options.repetition_penalty != 1) return 0;
  return options.temperature == 0 ? 1 : options.top_k;
}

Sampler::Sampler(const SamplingOptions& options) : options_(options) {
  options_.check();
  std::uint64_t seed = options_.seed;
  for (std::uint64_t& word : state_) word = splitmix64(seed);
}

std::int32_t Sampler::draw(std::span<const float> logits, std::span<const std::int32_t> history) {
  std::vector<float> work(logits.begin(), logits.end());
  if (options_.temperature == 0) {
    if (options_.repetition_penalty != 1) {
      apply_penalty(work, history, options_.repetition_penalty);
    }
    checked_maximum(work);
    return static_cast<std::int32_t>(std::max_element(work.begin(), work.end()) - work.begin());
  }
  const float maximum = filter(work, history, options_);
  const Weights weights = exponentials(work, maximum);
  // 53 random bits: uniform in [0, 1) with the spacing of a double.
  const double uniform = static_cast<double>(xoshiro256pp(state_) >> 11) * 0x1.0p-53;
  const double target = uniform * weights.sum;
  double cumulative = 0;
  std::int32_t last = 0;
  for (std::size_t i = 0; i < work.size(); ++i) {
    if (weights.values[i] == 0) continue;
    last = static_cast<std::int32_t>(i);
    cumulative += weights.values[i];
    if (cumulative > target) break;
  }
  return last;
}

}  // namespace haq::session
