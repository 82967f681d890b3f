// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <vector>

#include "engine/experts/modelled_time.h"
#include "engine/profile/replay/replay.h"

namespace haq::profile {

/// Sums of a replay over the counted steps.
class ReplayCount {
 public:
  ReplayCount(const experts::ExpertShape& shape, const ReplayOptions& options);

  /// What one step of `tokens` tokens, the first of them `first_token`, did.
  struct Counted {
    int layer = 0;
    std::int64_t first_token = 0;
    int tokens = 1;
    std::size_t accesses = 0, hits = 0;
    std::int64_t uploads = 0, streamed = 0;
  };
  /// The step takes what ReplayMachine's rule says.
  void add(const Counted& step);
  void add(const Counted& step, double step_us);
  /// Writes rates, times and sums into `result`.
  void finish(ReplayResult& result);

 private:
  experts::CostTable costs_;
  double copy_bytes_;
  std::vector<std::int64_t> accesses_, hits_;  ///< by layer
  std::int64_t uploads_ = 0, streamed_ = 0;
  std::int64_t batch_ = -1;
  experts::ModelledTime time_;
  std::int64_t block_tokens_;
  std::vector<ReplayResult::Block> blocks_;
};

}  // namespace haq::profile
