// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <span>

namespace haq::experts {

/// One layer of one batch of tokens: the distinct experts it chose in order of first appearance
/// (tokens in order, each token's experts from the most to the least probable).
struct Step {
  int layer = 0;
  int tokens = 1;
  std::span<const std::uint16_t> experts;  ///< distinct expert numbers within the layer
  std::span<const std::uint16_t> counts;   ///< tokens of each
};

}  // namespace haq::experts
