// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace haq::experts {

/// Predicted times of one expert, in microseconds: what the dispatcher and the policies decide by.
/// Frozen at the start of a run and stored with its recording, so that a replay decides the same; a
/// refit serves the next run. Prefill and decode differ by the number of tokens alone.
struct CostTable {
  struct Knot {
    double tokens = 0, us = 0;
  };
  /// One expert for so many tokens; ascending in tokens, not empty. Linear between knots, constant
  /// before the first, beyond the last with the slope of the last two (one knot: constant).
  std::vector<Knot> cpu, device;
  double upload_fixed_us = 0;  ///< per copy
  double link_gb_s = 25;       ///< 1e9 bytes per second
  double expert_bytes = 0;     ///< of one expert as it travels over the link
  std::string source;          ///< "measured", "emulated" or "stated": shown with every figure

  double cpu_us(double tokens) const;
  double device_us(double tokens) const;
  /// Of `copies` experts over the link.
  double upload_us(double copies) const {
    return copies * (upload_fixed_us + expert_bytes / (link_gb_s * 1e3));
  }

  /// The simulator's machine: times that do not depend on the number of tokens.
  static CostTable stated(double cpu_us, double device_us, double link_gb_s, double expert_bytes);
};

nlohmann::ordered_json to_json(const CostTable& table);
/// Throws kCorrupt naming `what`, the field, what was found and expected.
CostTable cost_table_from_json(const nlohmann::ordered_json& json, const std::string& what);

}  // namespace haq::experts
