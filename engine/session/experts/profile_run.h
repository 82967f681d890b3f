// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/base/progress.h"
#include "engine/nn/decoder.h"
#include "engine/session/experts/experts.h"
#include "engine/session/experts/prompt_set.h"

namespace haq::session {

/// Which share of all experts tokens have chosen, and after how many: when it stops growing, more
/// tokens tell little more about where experts are needed.
class ExpertCoverage {
 public:
  ExpertCoverage(int layers, int experts);
  /// One layer of a pass; `layer` as the model numbers them. The layers of a pass come in order.
  void add(const nn::RoutedStep& step);
  std::int64_t tokens() const { return tokens_; }
  /// Share of the experts of routed layers that the first `tokens` tokens chose.
  double share_after(std::int64_t tokens) const;
  double share() const { return share_after(tokens_); }

 private:
  int experts_, total_;
  int first_layer_ = -1;  // the first layer with routing
  std::int64_t tokens_ = 0, first_token_ = 0;
  std::vector<std::int64_t> first_seen_;  // by layer and expert, -1: not yet; grows with layers
};

struct ProfileOptions {
  GenerateOptions generate;  ///< its observer is taken; the seed counts up from prompt to prompt
  int repeat = 1;            ///< times that the set is run
};

struct ProfileResult {
  std::int64_t prompts = 0;  ///< that were run to their end, repeats counted
  std::int64_t prompt_tokens = 0, generated_tokens = 0;
  /// Share of all experts that any token chose, and after the first half of the tokens.
  double coverage = 0, coverage_first_half = 0;
  double seconds = 0;
  bool cancelled = false;  ///< stopped early: the figures are of what was run
};

/// Runs prompts one after the other, each from an empty cache so that every token passes through
/// the model, and tells the expert session where each begins. What is recorded is the session's.
/// Stops when the recording has failed: going on would be in vain. Throws what generating throws.
ProfileResult profile_prompts(std::shared_ptr<Model> model, ExpertSession& experts,
                              std::span<const EncodedPrompt> prompts, const ProfileOptions& options,
                              const ProgressCallback& progress = {},
                              const CancelToken& cancel = {});

}  // namespace haq::session
