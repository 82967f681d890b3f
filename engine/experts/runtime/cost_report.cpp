// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/experts/runtime/cost_report.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <string>

namespace haq::experts {

CostReport::CostReport()
    : rows_{{{.from = 1, .to = 1}, {.from = 2, .to = 8}, {.from = 9, .to = 64}, {.from = 65}}} {}

void CostReport::add(int tokens, double predicted_us, double actual_us, bool decision,
                     double regret_us) {
  for (Row& row : rows_) {
    if (row.to != 0 && tokens > row.to) continue;
    ++row.steps;
    row.predicted_us += predicted_us;
    row.actual_us += actual_us;
    if (decision) {
      ++row.decisions;
      row.regret_us += regret_us;
    }
    return;
  }
}

nlohmann::ordered_json to_json(const CostReport& report) {
  nlohmann::ordered_json json = nlohmann::ordered_json::array();
  for (const CostReport::Row& row : report.rows()) {
    if (row.steps == 0) continue;
    const std::string tokens = row.to == 0          ? fmt::format("{}-", row.from)
                               : row.from == row.to ? fmt::format("{}", row.from)
                                                    : fmt::format("{}-{}", row.from, row.to);
    const auto steps = static_cast<double>(row.steps);
    nlohmann::ordered_json& one = json.emplace_back();
    one["tokens"] = tokens;
    one["steps"] = row.steps;
    one["predicted_us_mean"] = row.predicted_us / steps;
    one["actual_us_mean"] = row.actual_us / steps;
    one["predicted_over_actual"] = row.actual_us > 0
                                       ? nlohmann::ordered_json(row.predicted_us / row.actual_us)
                                       : nlohmann::ordered_json();
    one["decisions"] = row.decisions;
    one["regret_us_mean"] =
        row.decisions > 0 ? row.regret_us / static_cast<double>(row.decisions) : 0.0;
  }
  return json;
}

}  // namespace haq::experts
