// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <algorithm>
#include <cstdint>
#include <random>
#include <vector>

#include "engine/experts/trace.h"

namespace haq::experts {

/// Decode paths of `prompts` prompts of `tokens` tokens each; low expert numbers, and a few that
/// differ from prompt to prompt, are chosen more often.
inline Trace random_paths(const ExpertShape& shape, int prompts, int tokens, unsigned seed) {
  std::mt19937 random(seed);
  Trace trace;
  trace.shape = shape;
  const auto experts = static_cast<unsigned>(shape.experts);
  std::vector<std::uint16_t> chosen;
  for (int prompt = 0; prompt < prompts; ++prompt) {
    const unsigned taste = random() % experts;
    for (int token = 0; token < tokens; ++token) {
      trace.batches.push_back({trace.tokens(), 1, prompt, true});
      for (int layer = 0; layer < shape.layers; ++layer) {
        chosen.clear();
        while (static_cast<int>(chosen.size()) < shape.top_k) {
          const unsigned drawn = std::min(random() % experts, random() % experts);
          const unsigned expert = random() % 3 == 0 ? (drawn + taste) % experts : drawn;
          const auto id = static_cast<std::uint16_t>(expert);
          if (std::find(chosen.begin(), chosen.end(), id) == chosen.end()) chosen.push_back(id);
        }
        trace.ids.insert(trace.ids.end(), chosen.begin(), chosen.end());
      }
    }
  }
  return trace;
}

}  // namespace haq::experts
