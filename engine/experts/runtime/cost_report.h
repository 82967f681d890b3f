// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <array>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>

namespace haq::experts {

/// Predicted beside actual time of the runtime's steps, by the number of tokens of their batch:
/// what tells whether the cost table fits this machine. Times in microseconds, modelled ones where
/// the device is emulated. A value.
class CostReport {
 public:
  struct Row {
    int from = 0, to = 0;  ///< tokens of the batch; to 0: no upper end
    std::int64_t steps = 0;
    double predicted_us = 0, actual_us = 0;  ///< sums over steps
    std::int64_t decisions = 0;              ///< steps in which a miss could have gone either way
    double regret_us = 0;                    ///< sum over decisions
  };

  CostReport();
  /// One step. `regret_us` counts only when there was a decision.
  void add(int tokens, double predicted_us, double actual_us, bool decision, double regret_us);
  /// 1, 2 to 8, 9 to 64, more tokens.
  const std::array<Row, 4>& rows() const { return rows_; }

 private:
  std::array<Row, 4> rows_;
};

/// [{tokens, steps, predicted_us_mean, actual_us_mean, predicted_over_actual, decisions,
/// regret_us_mean}], `tokens` as "1", "2-8", "9-64", "65-"; batch sizes that did not occur are left
/// out.
nlohmann::ordered_json to_json(const CostReport& report);

}  // namespace haq::experts
