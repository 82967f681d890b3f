// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "engine/base/progress.h"
#include "engine/session/bench.h"

namespace haq::session {

/// Random token ids. Their values do not change the speed of a dense layer, and spread over the
/// experts of a router as random text does.
std::vector<std::int32_t> random_ids(std::int64_t count, int vocab, std::uint64_t seed);

/// Reads `ids` into a sequence in chunks, as a prompt is read; logits of the last row only.
void read_prompt(Model& model, nn::Sequence& sequence, const std::vector<std::int32_t>& ids,
                 const CancelToken& cancel);

/// Decodes with a batch of sequences that start at a depth, greedy argmax in the loop as in
/// generation.
class DecodeLoop {
 public:
  DecodeLoop(Model& model, const BenchOptions& options, const CancelToken& cancel);

  /// Back to the depth, with random tokens that depend on `repeat` and the seed.
  void restart(int repeat);
  /// Seconds that `tokens` steps took.
  double run(int tokens);
  std::size_t kv_bytes() const;

 private:
  void step();

  Model& model_;
  const BenchOptions& options_;
  const CancelToken& cancel_;
  std::vector<std::unique_ptr<nn::Sequence>> sequences_;
  std::vector<std::int32_t> ids_;
};

}  // namespace haq::session
