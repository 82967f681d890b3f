// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/profile/recordings/path_assembler.h"

#include <algorithm>

#include "engine/base/error.h"
#include "engine/experts/trace.h"

namespace haq::profile {

using experts::Event;

PathAssembler::PathAssembler(const experts::ExpertShape& shape) : shape_(shape) {
  if (shape.layers < 1 || shape.layers > experts::kMaxLayers || shape.top_k < 1 ||
      shape.top_k > experts::kMaxTopK) {
    fail(ErrorCode::kInvalidArgument,
         "a recording of {} layers with {} choices each, expected 1 to {} layers and 1 to {} "
         "choices",
         shape.layers, shape.top_k, experts::kMaxLayers, experts::kMaxTopK);
  }
}

void PathAssembler::add(std::span<const Event> events, std::uint64_t dropped) {
  for (const Event& event : events) {
    if (event.kind == Event::Kind::kBatch) {
      close(dropped);
      open(event.batch, dropped);
    } else if (event.kind == Event::Kind::kPath) {
      put(event.layer, event.path);
      if (is_open_ && whole_ == batch_.tokens) close(dropped);
    }
  }
}

void PathAssembler::open(const Event::Batch& batch, std::uint64_t dropped) {
  skip_to(batch.first_token, dropped);
  batch_ = batch;
  batch_.tokens = std::max(batch.tokens, 0);
  is_open_ = true;
  ++batches_;
  next_token_ = batch_.first_token + batch_.tokens;
  whole_ = 0;
  const auto tokens = static_cast<std::size_t>(batch_.tokens);
  paths_.assign(tokens * static_cast<std::size_t>(row()), experts::Trace::kAbsent);
  seen_.assign(tokens, 0);
}

void PathAssembler::put(int layer, const Event::Path& path) {
  const std::int64_t token = path.token - batch_.first_token;
  const bool mine = is_open_ && token >= 0 && token < batch_.tokens;
  if (!mine) {
    // The batch's own event was dropped.
    if (path.token >= next_token_) last_seen_ = std::max(last_seen_, path.token);
    return;
  }
  if (layer >= shape_.layers || path.count > Event::kPathIds ||
      path.offset + path.count > shape_.top_k) {
    return;  // the token stays incomplete
  }
  std::uint16_t* to =
      paths_.data() + token * row() + std::int64_t{layer} * shape_.top_k + path.offset;
  std::copy_n(path.ids, path.count, to);
  std::int32_t& seen = seen_[static_cast<std::size_t>(token)];
  seen += path.count;
  if (seen == row()) ++whole_;
}

void PathAssembler::close(std::uint64_t dropped) {
  if (!is_open_) {
    skip_to(last_seen_ + 1, dropped);
    return;
  }
  is_open_ = false;
  for (std::int32_t t = 0; t < batch_.tokens; ++t) {
    if (seen_[static_cast<std::size_t>(t)] != row()) continue;
    const auto begin = paths_.begin() + t * row();
    done_paths_.insert(done_paths_.end(), begin, begin + row());
    done_.push_back({batch_.prompt, batches_ - 1, batch_.decode != 0, {}});
  }
  tokens_ += whole_;
  if (batch_.decode != 0) decode_tokens_ += whole_;
  if (whole_ > 0 && batch_.prompt != last_prompt_) {
    ++prompts_;
    last_prompt_ = batch_.prompt;
  }
  // Without a dropped event an incomplete pass is one that was cancelled or failed.
  if (dropped > 0) dropped_tokens_ += batch_.tokens - whole_;
}

void PathAssembler::skip_to(std::int64_t token, std::uint64_t dropped) {
  if (batches_ > 0 && dropped > 0 && token > next_token_) dropped_tokens_ += token - next_token_;
  next_token_ = std::max(next_token_, token);
}

std::span<const RecordedToken> PathAssembler::finished() {
  const auto width = static_cast<std::size_t>(row());
  for (std::size_t i = 0; i < done_.size(); ++i) {
    done_[i].path = {done_paths_.data() + i * width, width};
  }
  return done_;
}

void PathAssembler::forget_finished() {
  done_.clear();
  done_paths_.clear();
}

}  // namespace haq::profile
