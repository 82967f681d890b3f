// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/nn/decoder_impl.h"

#include <algorithm>
#include <utility>

#include "engine/base/error.h"
#include "engine/base/finite.h"
#include "engine/nn/ends.h"
#include "engine/nn/layer.h"

namespace haq::nn {
namespace {

using device::Rows;
using model::Role;

/// A logits buffer that is larger than needed by more than this is given back.
constexpr std::size_t kSpareLogitsBytes = std::size_t{64} << 20;

std::int64_t wanted_rows(const Segment& segment) {
  switch (segment.logits) {
    case Segment::Logits::kNone:
      return 0;
    case Segment::Logits::kLast:
      return 1;
    case Segment::Logits::kAll:
      break;
  }
  return static_cast<std::int64_t>(segment.ids.size());
}

/// How many of the largest logits are wanted; 0: all.
int wanted_top(std::span<const Segment> segments) {
  int top = 0;
  for (const Segment& segment : segments) {
    if (segment.logits == Segment::Logits::kNone) continue;
    if (segment.top <= 0) return 0;
    top = std::max(top, segment.top);
  }
  return top;
}

}  // namespace

DecoderImpl::DecoderImpl(std::shared_ptr<const model::Checkpoint> checkpoint,
                         std::shared_ptr<device::Device> device, const ComputePlan& plan,
                         int prefill_chunk, DecoderWeights weights)
    : checkpoint_(std::move(checkpoint)),
      device_(std::move(device)),
      config_(checkpoint_->config()),
      plan_(plan),
      prefill_chunk_(prefill_chunk),
      host_memory_(device_->info().host_memory),
      weights_(std::move(weights)),
      rotary_(device_, config_.rope, config_.max_positions),
      workspace_(*device_, config_),
      default_runner_(*device_, weights_.layers),
      ffn_(config_, default_runner_),
      head_(device_, weights_.head) {
  if (weights_.embedding->out() < config_.vocab) {
    fail(ErrorCode::kCorrupt, "{}: {} rows, expected vocab_size {}",
         checkpoint_->module_name(Role::kEmbedding), weights_.embedding->out(), config_.vocab);
  }
  if (weights_.positions && weights_.positions->out() < config_.max_positions + kPositionOffset) {
    fail(ErrorCode::kCorrupt, "{}: {} rows, expected max_position_embeddings {} + {}",
         checkpoint_->module_name(Role::kPositionEmbedding), weights_.positions->out(),
         config_.max_positions, kPositionOffset);
  }
}

std::unique_ptr<Sequence> DecoderImpl::new_sequence() {
  device::KvLayout layout;
  layout.layers = config_.layer_count();
  layout.kv_heads = config_.mla ? config_.heads : config_.kv_heads;
  layout.k_dim = config_.head_dim;
  layout.v_dim = config_.v_head_dim;
  layout.type = plan_.compute == Compute::kFp32 ? device::KvType::kF32 : device::KvType::kBF16;
  return std::make_unique<CachedSequence>(device_, layout, this);
}

DecoderStats DecoderImpl::stats() const {
  DecoderStats stats = weights_.stats;
  stats.packed_bytes = packed_bytes(weights_) + head_.search_bytes();
  stats.head_bytes = weights_.head->weight_bytes();
  stats.searched_rows = head_.searched_rows();
  stats.searched_head_bytes = head_.searched_bytes();
  return stats;
}

void DecoderImpl::set_expert_runner(std::shared_ptr<ExpertRunner> runner) {
  runner_ = std::move(runner);
  ffn_.set_runner(runner_.get());
}

std::span<const float> DecoderImpl::forward(std::span<const Segment> segments,
                                            const Observer* observer, const CancelToken* cancel) {
  rotary_.reserve(check_segments(segments));
  for (const Segment& segment : segments) rotate_anew(segment, cancel);
  begin_step();
  for (const Segment& segment : segments) {
    auto& sequence = static_cast<CachedSequence&>(*segment.sequence);
    const std::int64_t end = sequence.length() + static_cast<std::int64_t>(segment.ids.size());
    add_to_step(sequence, sequence.length(), segment.ids, sequence.rotation_length(end));
  }
  const bool decode = std::all_of(segments.begin(), segments.end(),
                                  [](const Segment& segment) { return segment.decode; });
  const Step step = make_step(decode, cancel);
  run_layers(step, observer);
  bool complete = true;
  const std::span<const float> logits = logits_of(segments, step, complete);
  // Logits that a search left out are -inf; it answers for the others.
  const bool every_row =
      complete && static_cast<std::int64_t>(logits.size()) == step.tokens * weights_.head->out();
  const bool good =
      (!complete || all_finite(logits)) && (every_row || finite(step.rows(Workspace::kResidual)));
  if (!good) report_non_finite(step);
  commit(segments);
  return logits;
}

/// Returns the largest length a sequence will have.
std::int64_t DecoderImpl::check_segments(std::span<const Segment> segments) const {
  if (segments.empty()) fail(ErrorCode::kInvalidArgument, "a step needs at least one segment");
  std::size_t tokens = 0;
  std::int64_t longest = 0;
  for (std::size_t index = 0; index < segments.size(); ++index) {
    check_segment(segments, index);
    const std::size_t count = segments[index].ids.size();
    tokens += count;
    longest =
        std::max(longest, segments[index].sequence->length() + static_cast<std::int64_t>(count));
  }
  if (tokens > static_cast<std::size_t>(kMaxStepTokens)) {
    fail(ErrorCode::kLimit, "a step of {} tokens: expected at most {}", tokens, kMaxStepTokens);
  }
  return longest;
}

void DecoderImpl::check_segment(std::span<const Segment> segments, std::size_t index) const {
  const Segment& segment = segments[index];
  const auto* sequence = dynamic_cast<const CachedSequence*>(segment.sequence);
  if (sequence == nullptr || sequence->owner() != this) {
    fail(ErrorCode::kInvalidArgument, "segment {}: its sequence belongs to another decoder", index);
  }
  if (segment.ids.empty()) fail(ErrorCode::kInvalidArgument, "segment {} has no tokens", index);
  const auto same = [&](const Segment& other) { return other.sequence == segment.sequence; };
  if (std::any_of(segments.begin(), segments.begin() + static_cast<std::ptrdiff_t>(index), same)) {
    fail(ErrorCode::kInvalidArgument, "segment {}: its sequence occurs twice in one step", index);
  }
  for (const std::int32_t id : segment.ids) {
    if (id >= 0 && id < config_.vocab) continue;
    fail(ErrorCode::kInvalidArgument, "token id {}: expected 0 to {}", id, config_.vocab - 1);
  }
  const std::int64_t end = sequence->length() + static_cast<std::int64_t>(segment.ids.size());
  if (end > config_.max_positions) {
    fail(ErrorCode::kInvalidArgument, "{} tokens do not fit the context of {}", end,
         config_.max_positions);
  }
}

/// Longrope: when the step moves the sequence to the other variant, the keys in its cache are
/// computed again from the tokens. (The reference drops the cache at that point, which comes to the
/// same.)
void DecoderImpl::rotate_anew(const Segment& segment, const CancelToken* cancel) {
  if (config_.rope.scaling != model::RopeScaling::kLongRope) return;
  auto& sequence = static_cast<CachedSequence&>(*segment.sequence);
  const std::int64_t end = sequence.length() + static_cast<std::int64_t>(segment.ids.size());
  const std::int64_t rotation_length = sequence.rotation_length(end);
  const bool is_long = rotary_.is_long(rotation_length);
  sequence.reserve_ids(end);
  if (sequence.length() > 0 && sequence.long_rotation() != is_long) {
    sequence.set_long_rotation(std::nullopt);
    const std::span<const std::int32_t> ids = sequence.ids();
    for (std::size_t begin = 0; begin < ids.size();) {
      const std::size_t count =
          std::min(ids.size() - begin, static_cast<std::size_t>(prefill_chunk_));
      begin_step();
      add_to_step(sequence, static_cast<std::int64_t>(begin), ids.subspan(begin, count),
                  rotation_length);
      run_layers(make_step(false, cancel), nullptr);
      begin += count;
    }
  }
  sequence.set_long_rotation(is_long);
}

void DecoderImpl::begin_step() {
  step_segments_.clear();
  ids_.clear();
}

void DecoderImpl::add_to_step(CachedSequence& sequence, std::int64_t first_position,
                              std::span<const std::int32_t> ids, std::int64_t rotation_length) {
  StepSegment part;
  part.cache = &sequence.cache();
  part.first_row = static_cast<std::int64_t>(ids_.size());
  part.rows = static_cast<std::int64_t>(ids.size());
  part.first_position = first_position;
  part.rotary = rotary_.table(rotation_length);
  part.cache->reserve(first_position + part.rows);
  step_segments_.push_back(part);
  ids_.insert(ids_.end(), ids.begin(), ids.end());
}

Step DecoderImpl::make_step(bool decode, const CancelToken* cancel) {
  const auto tokens = static_cast<std::int64_t>(ids_.size());
  workspace_.reserve(tokens);
  return {*device_, config_, workspace_, step_segments_, tokens, decode, cancel};
}

void DecoderImpl::run_layers(const Step& step, const Observer* observer) {
  embed_tokens(step, weights_, ids_, positions_);
  const Rows residual = step.rows(Workspace::kResidual);
  show_hidden(observer, -1, residual);
  for (int layer = 0; layer < config_.layer_count(); ++layer) {
    if (step.cancel != nullptr) step.cancel->check();
    attention_half(step, layer_weights(layer), layer);
    ffn_half(step, layer_weights(layer), layer, ffn_, observer);
    show_hidden(observer, layer, residual);
  }
  if (observer == nullptr || !observer->hidden) return;
  show_hidden(observer, config_.layer_count(),
              head_input(step, weights_, residual, step.rows(Workspace::kNormed)));
}

/// Makes the step's tokens part of their sequences.
void DecoderImpl::commit(std::span<const Segment> segments) {
  device_->synchronize();
  const bool remember = config_.rope.scaling == model::RopeScaling::kLongRope;
  for (const Segment& segment : segments) {
    auto& sequence = static_cast<CachedSequence&>(*segment.sequence);
    if (remember) sequence.remember(segment.ids);
    sequence.cache().set_length(sequence.length() + static_cast<std::int64_t>(segment.ids.size()));
  }
}

std::span<const float> DecoderImpl::logits_of(std::span<const Segment> segments, const Step& step,
                                              bool& complete) {
  const Rows selected = select_rows(segments, step);
  if (selected.rows == 0) return {};
  const Rows input = head_input(step, weights_, selected, selected);
  const std::int64_t vocab = weights_.head->out();
  const std::size_t bytes = static_cast<std::size_t>(input.rows * vocab) * sizeof(float);
  if (!logits_ || logits_->bytes() < bytes || logits_->bytes() - bytes > kSpareLogitsBytes) {
    logits_.reset();
    logits_ = device_->allocate(bytes);
  }
  const Rows logits{static_cast<float*>(logits_->data()), input.rows, vocab, vocab};
  complete = head_.run(input, wanted_top(segments), logits);
  if (config_.logits_divisor != 1) device_->scale(logits, 1 / config_.logits_divisor);
  if (host_memory_) return on_host(logits);
  host_logits_.resize(bytes / sizeof(float));
  device_->copy_to_host(host_logits_.data(), logits.data, bytes);
  return host_logits_;
}

Rows DecoderImpl::select_rows(std::span<const Segment> segments, const Step& step) {
  const Rows residual = step.rows(Workspace::kResidual);
  const Rows selected = step.rows(Workspace::kSelected);
  std::int64_t count = 0;
  for (std::size_t index = 0; index < segments.size(); ++index) {
    const std::int64_t wanted = wanted_rows(segments[index]);
    if (wanted == 0) continue;
    const StepSegment& part = step.segments[index];
    device_->copy(row_range(residual, part.first_row + part.rows - wanted, wanted),
                  row_range(selected, count, wanted));
    count += wanted;
  }
  return row_range(selected, 0, count);
}

void DecoderImpl::show_hidden(const Observer* observer, int layer, const Rows& rows) {
  if (observer != nullptr && observer->hidden) observer->hidden(layer, on_host(rows), rows.cols);
}

std::span<const float> DecoderImpl::on_host(const Rows& rows) {
  const auto count = static_cast<std::size_t>(rows.rows * rows.cols);
  if (host_memory_) {
    device_->synchronize();
    return {rows.data, count};
  }
  host_rows_.resize(count);
  device_->copy_to_host(host_rows_.data(), rows.data, count * sizeof(float));
  return host_rows_;
}

bool DecoderImpl::finite(const Rows& rows) {
  return all_finite(on_host(rows));
}

/// Repeats the step and looks at the residual stream after every half layer. Keys and values of the
/// step are written once more with the same bits; the sequences' lengths do not change.
void DecoderImpl::report_non_finite(const Step& step) {
  const Rows residual = step.rows(Workspace::kResidual);
  embed_tokens(step, weights_, ids_, positions_);
  if (!finite(residual)) {
    fail(ErrorCode::kNumeric, "{}: a non-finite value appeared in the output of {}",
         checkpoint_->name(), checkpoint_->module_name(Role::kEmbedding));
  }
  for (int layer = 0; layer < config_.layer_count(); ++layer) {
    attention_half(step, layer_weights(layer), layer);
    if (!finite(residual)) {
      fail(ErrorCode::kNumeric,
           "{}: a non-finite value appeared in layer {}, in the attention ({})",
           checkpoint_->name(), layer, checkpoint_->module_name(Role::kO, layer));
    }
    ffn_half(step, layer_weights(layer), layer, ffn_, nullptr);
    if (finite(residual)) continue;
    const bool moe = config_.layers[static_cast<std::size_t>(layer)].moe;
    fail(ErrorCode::kNumeric, "{}: a non-finite value appeared in layer {}, in the {} ({})",
         checkpoint_->name(), layer, moe ? "experts" : "feed-forward network",
         checkpoint_->module_name(moe ? Role::kRouter : Role::kDown, layer));
  }
  fail(ErrorCode::kNumeric, "{}: a non-finite value appeared in the output of {}",
       checkpoint_->name(),
       checkpoint_->module_name(config_.tied_head ? Role::kEmbedding : Role::kLmHead));
}

}  // namespace haq::nn
