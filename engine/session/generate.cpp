// SPDX-License-Identifier: GPL-3.0-or-later
#include <algorithm>
#include <chrono>

#include "engine/base/error.h"
#include "engine/base/hash.h"
#include "engine/session/session.h"
#include "engine/session/stop_matcher.h"

namespace haq::session {

namespace {

using Clock = std::chrono::steady_clock;

double seconds_between(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

double rate(std::int64_t count, double seconds) {
  return seconds > 0 ? static_cast<double>(count) / seconds : 0;
}

/// From this many tokens on an answer repays the time to prepare a search for the largest logits.
constexpr int kLongAnswer = 32;

/// How many of the largest logits of a decoded row are wanted; 0: all.
int wanted_logits(const GenerateOptions& options) {
  return options.digest || options.max_tokens < kLongAnswer ? 0 : deciding_logits(options.sampling);
}

/// Turns ids into text to show: incremental detokenizing, then stop strings.
class TextOutput {
 public:
  TextOutput(const Model& model, std::span<const std::int32_t> prompt,
             const GenerateOptions& options)
      : stops_(options.stop) {
    if (model.has_tokenizer()) {
      stream_ = model.tokenizer().stream(prompt, /*skip_special=*/true);
    } else if (!options.stop.empty()) {
      model.tokenizer();  // throws: a stop string is text
    }
  }

  std::string push(std::int32_t id) { return stream_ ? stops_.push(stream_->push(id)) : ""; }
  std::string finish() {
    if (!stream_ || stops_.matched()) return {};
    std::string rest = stops_.push(stream_->flush());
    return rest + stops_.flush();
  }
  bool stopped() const { return stops_.matched(); }

 private:
  std::unique_ptr<text::Tokenizer::Stream> stream_;
  StopMatcher stops_;
};

}  // namespace

const char* to_string(FinishReason reason) {
  switch (reason) {
    case FinishReason::kEos:
      return "eos";
    case FinishReason::kStop:
      return "stop";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kContext:
      return "context";
    case FinishReason::kCancelled:
      return "cancelled";
  }
  return "cancelled";
}

struct Context::Impl {
  explicit Impl(std::shared_ptr<Model> loaded)
      : model(std::move(loaded)), sequence(model->decoder().new_sequence()) {}

  std::shared_ptr<Model> model;
  std::unique_ptr<nn::Sequence> sequence;
  std::vector<std::int32_t> cached;  ///< ids whose keys and values the sequence holds

  void check(std::span<const std::int32_t> prompt, const GenerateOptions& options) const;
  std::int64_t reuse(std::span<const std::int32_t> prompt);
  /// `segment` but for its sequence.
  std::span<const float> forward(nn::Segment segment, const GenerateOptions& options,
                                 const CancelToken& cancel);
  std::span<const float> prefill(std::span<const std::int32_t> prompt, std::int64_t done,
                                 const GenerateOptions& options, const CancelToken& cancel,
                                 const ProgressCallback& on_prefill);
};

void Context::Impl::check(std::span<const std::int32_t> prompt,
                          const GenerateOptions& options) const {
  options.sampling.check();
  if (options.max_tokens < 1) {
    fail(ErrorCode::kInvalidArgument, "max-tokens is {}, expected 1 or more", options.max_tokens);
  }
  if (prompt.empty()) {
    throw Error(ErrorCode::kInvalidArgument, "the prompt has no tokens", "give at least one token");
  }
  const int vocab = model->checkpoint().config().vocab;
  for (std::size_t i = 0; i < prompt.size(); ++i) {
    if (prompt[i] < 0 || prompt[i] >= vocab) {
      fail(ErrorCode::kInvalidArgument,
           "token id {} at position {} is outside the model's vocabulary of {}", prompt[i], i,
           vocab);
    }
  }
  const std::int64_t context = model->max_context();
  if (static_cast<std::int64_t>(prompt.size()) > context) {
    throw Error(ErrorCode::kLimit,
                fmt::format("the prompt has {} tokens, the model's context holds {}", prompt.size(),
                            context),
                "shorten the prompt");
  }
}

/// Cuts the cache to its longest common prefix with the prompt, leaving at least the last token to
/// compute (its logits are needed), and returns that length.
std::int64_t Context::Impl::reuse(std::span<const std::int32_t> prompt) {
  const auto common =
      std::mismatch(cached.begin(), cached.end(), prompt.begin(), prompt.end()).first -
      cached.begin();
  const std::int64_t kept =
      std::min<std::int64_t>(common, static_cast<std::int64_t>(prompt.size()) - 1);
  sequence->truncate(kept);
  cached.resize(static_cast<std::size_t>(kept));
  sequence->set_planned_length(static_cast<std::int64_t>(prompt.size()));
  return kept;
}

std::span<const float> Context::Impl::forward(nn::Segment segment, const GenerateOptions& options,
                                              const CancelToken& cancel) {
  segment.sequence = sequence.get();
  const bool observed = options.observer.routed || options.observer.hidden;
  const std::span<const float> rows = model->decoder().forward(
      std::span(&segment, 1), observed ? &options.observer : nullptr, &cancel);
  cached.insert(cached.end(), segment.ids.begin(), segment.ids.end());
  return rows;
}

std::span<const float> Context::Impl::prefill(std::span<const std::int32_t> prompt,
                                              std::int64_t done, const GenerateOptions& options,
                                              const CancelToken& cancel,
                                              const ProgressCallback& on_prefill) {
  const auto total = static_cast<std::int64_t>(prompt.size());
  std::span<const float> row;
  while (done < total) {
    const std::int64_t count = std::min<std::int64_t>(model->prefill_chunk(), total - done);
    if (on_prefill) {
      on_prefill({"reading the prompt", static_cast<std::uint64_t>(done),
                  static_cast<std::uint64_t>(total), "tokens"});
    }
    nn::Segment segment;
    segment.ids = prompt.subspan(static_cast<std::size_t>(done), static_cast<std::size_t>(count));
    segment.logits =
        done + count == total ? nn::Segment::Logits::kLast : nn::Segment::Logits::kNone;
    row = forward(segment, options, cancel);
    done += count;
  }
  if (on_prefill) {
    on_prefill({"reading the prompt", static_cast<std::uint64_t>(total),
                static_cast<std::uint64_t>(total), "tokens"});
  }
  return row;
}

Context::Context(std::shared_ptr<Model> model) : impl_(std::make_unique<Impl>(std::move(model))) {}
Context::~Context() = default;

std::int64_t Context::cached_tokens() const {
  return static_cast<std::int64_t>(impl_->cached.size());
}
std::size_t Context::kv_bytes() const {
  return impl_->sequence->kv_bytes();
}
void Context::clear() {
  impl_->sequence->truncate(0);
  impl_->cached.clear();
}

GenerateResult Context::generate(std::span<const std::int32_t> prompt,
                                 const GenerateOptions& options, const TokenCallback& on_token,
                                 const CancelToken& cancel, const ProgressCallback& on_prefill) {
  Impl& impl = *impl_;
  impl.check(prompt, options);
  const Model& model = *impl.model;
  const auto start = Clock::now();
  GenerateResult result;
  result.prompt_tokens = static_cast<std::int64_t>(prompt.size());
  TextOutput output(model, prompt, options);
  Sampler sampler(options.sampling);
  Hash128 digest;
  std::vector<std::int32_t> history(prompt.begin(), prompt.end());
  const std::vector<std::int64_t>& eos = model.eos_ids();
  auto first_token = start;
  std::int64_t decode_steps = 0;
  bool listening = true;

  try {
    result.reused_tokens = impl.reuse(prompt);
    std::span<const float> row =
        impl.prefill(prompt, result.reused_tokens, options, cancel, on_prefill);
    for (;;) {
      if (options.digest) digest.update(std::as_bytes(row));
      const std::int32_t id = sampler.draw(row, history);
      if (first_token == start) {
        first_token = Clock::now();
        result.ttft_s = result.prefill_s = seconds_between(start, first_token);
      }
      if (!options.ignore_eos && std::find(eos.begin(), eos.end(), id) != eos.end()) {
        result.finish = FinishReason::kEos;
        break;
      }
      result.ids.push_back(id);
      history.push_back(id);
      const std::string text = output.push(id);
      result.text += text;
      if (on_token && !on_token({id, text, static_cast<std::int64_t>(result.ids.size()) - 1})) {
        listening = false;
        result.finish = FinishReason::kCancelled;
        break;
      }
      if (output.stopped()) {
        result.finish = FinishReason::kStop;
        break;
      }
      if (static_cast<std::int64_t>(result.ids.size()) >= options.max_tokens) {
        result.finish = FinishReason::kLength;
        break;
      }
      if (impl.sequence->length() >= model.max_context()) {
        result.finish = FinishReason::kContext;
        break;
      }
      cancel.check();
      nn::Segment next;
      next.ids = std::span(&history.back(), 1);
      next.decode = true;
      next.top = wanted_logits(options);
      row = impl.forward(next, options, cancel);
      ++decode_steps;
    }
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kCancelled) throw;
    result.finish = FinishReason::kCancelled;
  }

  const auto end = Clock::now();
  if (first_token == start) {
    result.prefill_s = seconds_between(start, end);
  } else {
    result.decode_s = seconds_between(first_token, end);
  }
  const std::string rest = output.finish();
  result.text += rest;
  if (!rest.empty() && listening && on_token) {
    on_token({-1, rest, static_cast<std::int64_t>(result.ids.size())});
  }
  result.generated_tokens = static_cast<std::int64_t>(result.ids.size());
  result.prefill_tokens_per_s =
      first_token == start ? 0
                           : rate(result.prompt_tokens - result.reused_tokens, result.prefill_s);
  result.decode_tokens_per_s = rate(decode_steps, result.decode_s);
  if (options.digest) result.digest = digest.hex();
  return result;
}

}  // namespace haq::session
