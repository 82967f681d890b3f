// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <random>
#include <vector>

#include "engine/experts/shape.h"
#include "engine/experts/telemetry/event_writer.h"

namespace haq::profile {

/// Writes batches of random paths the way the runtime does: layer by layer.
class SampleEvents {
 public:
  /// The number of experts is a power of two, so that a token's choices are distinct.
  SampleEvents(const experts::ExpertShape& shape, experts::EventRing& ring)
      : shape_(shape), ring_(ring) {}

  /// Returns the paths, [token][layer][rank]. `layers` below the shape's: the pass is cut off.
  std::vector<std::uint16_t> batch(int tokens, int prompt, bool decode, int layers = -1) {
    const std::int64_t row = std::int64_t{shape_.layers} * shape_.top_k;
    std::vector<std::uint16_t> paths(static_cast<std::size_t>(tokens * row));
    experts::write_batch(ring_, 0,
                         {.first_token = next_,
                          .tokens = tokens,
                          .prompt = prompt,
                          .decode = static_cast<std::uint8_t>(decode)});
    for (int layer = 0; layer < (layers < 0 ? shape_.layers : layers); ++layer) {
      std::vector<std::int32_t> ids;
      for (int token = 0; token < tokens; ++token) {
        const auto start = static_cast<std::int32_t>(random_() % 4096);
        const auto stride = static_cast<std::int32_t>(random_() % 64) * 2 + 1;
        for (int rank = 0; rank < shape_.top_k; ++rank) {
          ids.push_back((start + rank * stride) % shape_.experts);
          paths[static_cast<std::size_t>(token * row + layer * shape_.top_k + rank)] =
              static_cast<std::uint16_t>(ids.back());
        }
      }
      experts::write_paths(ring_, 0, layer, next_, shape_.top_k, ids);
      experts::write_step(ring_, 0, layer, {});
    }
    next_ += tokens;
    return paths;
  }

 private:
  experts::ExpertShape shape_;
  experts::EventRing& ring_;
  std::int64_t next_ = 100;  // a recording may begin in the middle of a run
  std::minstd_rand random_{7};
};

}  // namespace haq::profile
