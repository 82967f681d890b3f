// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/session/experts/profile_run.h"

#include <algorithm>
#include <chrono>

namespace haq::session {

ExpertCoverage::ExpertCoverage(int layers, int experts)
    : experts_(experts), total_(layers * experts) {}

void ExpertCoverage::add(const nn::RoutedStep& step) {
  if (first_layer_ < 0) first_layer_ = step.layer;
  if (step.layer == first_layer_) {
    first_token_ = tokens_;
    tokens_ += step.tokens;
  }
  const std::size_t base =
      static_cast<std::size_t>(step.layer) * static_cast<std::size_t>(experts_);
  first_seen_.resize(std::max(first_seen_.size(), base + static_cast<std::size_t>(experts_)), -1);
  for (std::size_t i = 0; i < step.ids.size(); ++i) {
    std::int64_t& seen = first_seen_[base + static_cast<std::size_t>(step.ids[i])];
    if (seen < 0) seen = first_token_ + static_cast<std::int64_t>(i) / step.top_k;
  }
}

double ExpertCoverage::share_after(std::int64_t tokens) const {
  if (total_ == 0) return 0;
  const auto chosen = std::count_if(first_seen_.begin(), first_seen_.end(),
                                    [&](std::int64_t seen) { return seen >= 0 && seen < tokens; });
  return static_cast<double>(chosen) / total_;
}

ProfileResult profile_prompts(std::shared_ptr<Model> model, ExpertSession& experts,
                              std::span<const EncodedPrompt> prompts, const ProfileOptions& options,
                              const ProgressCallback& progress, const CancelToken& cancel) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point begin = Clock::now();
  const experts::ExpertShape& shape = experts.runtime().shape();
  ExpertCoverage coverage(shape.layers, shape.experts);
  GenerateOptions generate = options.generate;
  generate.observer = {};
  generate.observer.routed = [&](const nn::RoutedStep& step) { coverage.add(step); };
  const auto total = static_cast<std::uint64_t>(prompts.size()) *
                     static_cast<std::uint64_t>(std::max(options.repeat, 0));

  ProfileResult result;
  Context context(model);
  std::uint64_t done = 0;
  const auto report = [&] {
    if (progress) progress({"running prompts", done, total, "prompts"});
  };
  const auto failed = [&] {
    const std::optional<profile::Recorder::Summary> recording = experts.recording();
    return recording && !recording->failure.empty();
  };
  for (; done < total && !result.cancelled && !failed(); ++done) {
    if (cancel.cancelled()) {
      result.cancelled = true;
      break;
    }
    const EncodedPrompt& prompt = prompts[done % prompts.size()];
    context.clear();
    experts.begin_prompt();
    report();
    const GenerateResult answer = context.generate(
        prompt.ids, generate,
        [&](const GeneratedToken&) {
          report();
          return true;
        },
        cancel, [&](const Progress&) { report(); });
    ++generate.sampling.seed;
    result.generated_tokens += answer.generated_tokens;
    result.prompt_tokens += answer.prompt_tokens;
    result.cancelled = answer.finish == FinishReason::kCancelled;
    if (!result.cancelled) ++result.prompts;
  }
  report();
  result.coverage = coverage.share();
  result.coverage_first_half = coverage.share_after(coverage.tokens() / 2);
  result.seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  return result;
}

}  // namespace haq::session
