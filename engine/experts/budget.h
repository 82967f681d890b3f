// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <string>

namespace haq::experts {

/// Experts that a budget pays for: "0", "all", "96x" experts, "25%" of all experts (rounded down),
/// or bytes with a unit (B, KiB, MiB, GiB; fractions allowed), divided by `expert_bytes` and
/// rounded down. At most `total`. Throws kInvalidArgument for anything else, for a budget above 0
/// that buys no expert, and for bytes when expert_bytes is 0 (not known).
int parse_budget(const std::string& text, int total, double expert_bytes);

}  // namespace haq::experts
