// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <span>

namespace haq {

/// True when there is neither NaN nor infinity (all exponent bits set) among the values. Written
/// without a branch so that it vectorises.
inline bool all_finite(std::span<const float> values) {
  std::uint32_t worst = 0;
  for (const float value : values) {
    worst = std::max(worst, std::bit_cast<std::uint32_t>(value) & 0x7f800000U);
  }
  return worst != 0x7f800000U;
}

}  // namespace haq
