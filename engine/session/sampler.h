// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace haq::session {

/// Order of application: repetition penalty, temperature, top-k, top-p, min-p (as transformers).
struct SamplingOptions {
  float temperature = 0;         ///< 0: greedy (argmax, lowest id on ties)
  int top_k = 0;                 ///< 0: off
  float top_p = 1;               ///< 1: off
  float min_p = 0;               ///< 0: off
  float repetition_penalty = 1;  ///< 1: off
  std::uint64_t seed = 0;
  /// Throws kInvalidArgument naming the option and its range.
  void check() const;
};

/// The distribution one would draw from, [vocab]; temperature must be > 0.
std::vector<float> distribution(std::span<const float> logits,
                                std::span<const std::int32_t> history,
                                const SamplingOptions& options);

/// How many of the largest logits decide every draw under these options; 0: it takes all of them. A
/// draw from a row that has -inf in place of the others gives the same id.
int deciding_logits(const SamplingOptions& options);

/// Draws ids; the stream of random numbers depends on the seed and the number of draws alone.
class Sampler {
 public:
  explicit Sampler(const SamplingOptions& options);
  std::int32_t draw(std::span<const float> logits, std::span<const std::int32_t> history);

 private:
  SamplingOptions options_;
  std::uint64_t state_[4];
};

}  // namespace haq::session
