// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <vector>

#include "engine/profile/replay.h"

namespace haq::profile {

/// Sums of a replay over the counted steps.
class ReplayCount {
 public:
  ReplayCount(const experts::ExpertShape& shape, const ReplayMachine& machine);

  /// A step of `tokens` tokens that starts with token `first_token`.
  void add(int layer, std::int64_t first_token, int tokens, std::size_t accesses, std::size_t hits,
           std::int64_t uploads);
  /// Writes rates, times and sums into `result`.
  void finish(ReplayResult& result);

 private:
  void end_batch();

  ReplayMachine machine_;
  double cpu_us_;
  std::vector<std::int64_t> accesses_, hits_;  ///< by layer
  std::int64_t uploads_ = 0;
  std::int64_t batch_ = -1;
  int batch_tokens_ = 0;
  double batch_us_ = 0;
  double tokens_ = 0, sum_ = 0, sum_of_squares_ = 0;  ///< of ms per token
};

}  // namespace haq::profile
