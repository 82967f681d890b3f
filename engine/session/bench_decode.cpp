// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/session/bench_decode.h"

#include <algorithm>
#include <chrono>
#include <span>

namespace haq::session {
namespace {

/// Tokens per turn of a comparison: short against what changes a machine's speed from outside,
/// long against the first token after the other model filled the caches.
constexpr int kTurn = 8;

}  // namespace

std::vector<std::int32_t> random_ids(std::int64_t count, int vocab, std::uint64_t seed) {
  std::vector<std::int32_t> ids(static_cast<std::size_t>(count));
  std::uint64_t state = seed * 0x9e3779b97f4a7c15ULL + 1;
  for (std::int32_t& id : ids) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    id = static_cast<std::int32_t>((state >> 33) % static_cast<std::uint64_t>(vocab));
  }
  return ids;
}

void read_prompt(Model& model, nn::Sequence& sequence, const std::vector<std::int32_t>& ids,
                 const CancelToken& cancel) {
  const std::span<const std::int32_t> all = ids;
  for (std::size_t at = 0; at < all.size();) {
    const std::size_t count =
        std::min(static_cast<std::size_t>(model.prefill_chunk()), all.size() - at);
    nn::Segment segment;
    segment.sequence = &sequence;
    segment.ids = all.subspan(at, count);
    segment.logits =
        at + count == all.size() ? nn::Segment::Logits::kLast : nn::Segment::Logits::kNone;
    model.decoder().forward(std::span(&segment, 1), nullptr, &cancel);
    at += count;
  }
}

DecodeLoop::DecodeLoop(Model& model, const BenchOptions& options, const CancelToken& cancel)
    : model_(model), options_(options), cancel_(cancel) {
  const int vocab = model.checkpoint().config().vocab;
  for (int b = 0; b < options.batch; ++b) {
    sequences_.push_back(model.decoder().new_sequence());
    sequences_.back()->set_planned_length(model.max_context());
    read_prompt(model, *sequences_.back(),
                random_ids(options.depth, vocab, options.seed + static_cast<std::uint64_t>(b)),
                cancel);
  }
}

void DecodeLoop::restart(int repeat) {
  for (auto& sequence : sequences_) sequence->truncate(options_.depth);
  ids_ = random_ids(options_.batch, model_.checkpoint().config().vocab,
                    options_.seed + 2 + static_cast<std::uint64_t>(repeat));
}

double DecodeLoop::run(int tokens) {
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < tokens; ++i) step();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

std::size_t DecodeLoop::kv_bytes() const {
  std::size_t bytes = 0;
  for (const auto& sequence : sequences_) bytes += sequence->kv_bytes();
  return bytes;
}

void DecodeLoop::step() {
  std::vector<nn::Segment> segments(sequences_.size());
  for (std::size_t b = 0; b < sequences_.size(); ++b) {
    segments[b].sequence = sequences_[b].get();
    segments[b].ids = std::span<const std::int32_t>(&ids_[b], 1);
    segments[b].logits = nn::Segment::Logits::kLast;
    segments[b].decode = true;
    segments[b].top = options_.all_logits ? 0 : 1;
  }
  const std::span<const float> logits = model_.decoder().forward(segments, nullptr, &cancel_);
  const auto width = static_cast<std::ptrdiff_t>(model_.checkpoint().config().vocab);
  for (std::size_t b = 0; b < sequences_.size(); ++b) {
    const auto row = logits.begin() + static_cast<std::ptrdiff_t>(b) * width;
    ids_[b] = static_cast<std::int32_t>(std::max_element(row, row + width) - row);
  }
}

MeanStd compare_decode(Model& first, Model& second, const BenchOptions& options,
                       const ProgressCallback& progress, const CancelToken& cancel) {
  DecodeLoop one(first, options, cancel), other(second, options, cancel);
  std::vector<double> ratios;
  for (int repeat = -1; repeat < options.repeat; ++repeat) {  // the first is left out
    if (progress) {
      progress({"decoding by turns", static_cast<std::uint64_t>(repeat + 1),
                static_cast<std::uint64_t>(options.repeat + 1), "runs"});
    }
    one.restart(repeat + 1);
    other.restart(repeat + 1);
    double one_s = 0, other_s = 0;
    for (int done = 0; done < options.decode; done += kTurn) {
      const int tokens = std::min(kTurn, options.decode - done);
      one_s += one.run(tokens);
      other_s += other.run(tokens);
    }
    if (repeat >= 0) ratios.push_back(other_s / one_s);
  }
  return mean_std(ratios);
}

}  // namespace haq::session
