// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "engine/experts/trace.h"

namespace haq::experts {

/// A piece of recorded paths that is weighted, held back or resampled as a whole.
struct PathPart {
  const Trace* trace = nullptr;
  /// Ranges [first, last) of Trace::batches, in order.
  std::vector<std::pair<std::size_t, std::size_t>> batches;
  std::int64_t tokens = 0;
};

/// Fewer prompts than this say nothing about other prompts; recordings with fewer are cut into
/// kPartsOfFew blocks of consecutive tokens instead.
inline constexpr std::size_t kFewPrompts = 10;
inline constexpr std::int64_t kPartsOfFew = 20;

/// The prompts of all recordings in order of first appearance, or blocks when they are few. The
/// traces must outlive the parts.
std::vector<PathPart> path_parts(std::span<const Trace* const> paths);

/// How often a part needed each expert, as a replay counts: the distinct experts of every step.
struct PartAccesses {
  std::vector<std::pair<ExpertIndex, std::uint32_t>> uses;  ///< ascending
  std::int64_t total = 0;
};
PartAccesses count_accesses(const PathPart& part);

/// Random parts with replacement, the same for the same numbers: `draws` rows of `parts` numbers.
/// Source: the bootstrap (Efron, 1979).
std::vector<std::vector<std::uint32_t>> resamples(std::size_t parts, int draws);

}  // namespace haq::experts
