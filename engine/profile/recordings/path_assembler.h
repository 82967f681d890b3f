// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/experts/shape.h"
#include "engine/experts/telemetry/events.h"
#include "engine/profile/recordings/recordings.h"

namespace haq::profile {

/// Puts the paths of whole tokens together from events in the order in which they were written. A
/// token counts only when all its ranks in all layers have arrived. One thread.
class PathAssembler {
 public:
  explicit PathAssembler(const experts::ExpertShape& shape);

  /// `dropped`: how many events the ring has dropped so far, read after these were taken from it.
  void add(std::span<const experts::Event> events, std::uint64_t dropped);
  /// No more events of the open batch will come.
  void close(std::uint64_t dropped);

  /// Tokens of closed batches, in order, since forget_finished(); valid until the next call of a
  /// member that is not const.
  std::span<const RecordedToken> finished();
  void forget_finished();

  std::int64_t tokens() const { return tokens_; }  ///< all that were finished
  std::int64_t decode_tokens() const { return decode_tokens_; }
  std::int64_t prompts() const { return prompts_; }
  /// Tokens left out after events were dropped. As long as none was, a token that is incomplete
  /// belongs to a pass that was cancelled or failed, and counts nowhere.
  std::int64_t dropped_tokens() const { return dropped_tokens_; }

 private:
  void open(const experts::Event::Batch& batch, std::uint64_t dropped);
  void put(int layer, const experts::Event::Path& path);
  void skip_to(std::int64_t token, std::uint64_t dropped);
  std::int64_t row() const { return std::int64_t{shape_.layers} * shape_.top_k; }

  experts::ExpertShape shape_;
  experts::Event::Batch batch_{};  // the open one
  bool is_open_ = false;
  std::vector<std::uint16_t> paths_;  // [tokens][layers][top_k] of the open batch
  std::vector<std::int32_t> seen_;    // by token of the open batch: ranks that have arrived
  std::int64_t whole_ = 0;            // its tokens of which everything has arrived
  std::int64_t batches_ = 0;
  std::int64_t next_token_ = 0;  // the number behind the last batch
  std::int64_t last_seen_ = -1;  // highest number of a path without a batch

  std::vector<std::uint16_t> done_paths_;
  std::vector<RecordedToken> done_;  // their spans are set by finished()
  std::int64_t tokens_ = 0, decode_tokens_ = 0, prompts_ = 0, dropped_tokens_ = 0;
  std::int32_t last_prompt_ = -1;
};

}  // namespace haq::profile
