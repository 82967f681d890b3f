// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <span>

#include "engine/profile/statistics/path_stats.h"

/// Parts of path_stats().
namespace haq::profile {

struct PhaseToken {
  std::int64_t token = 0;  ///< in the trace
  std::int64_t place = 0;  ///< among its prompt's tokens of the phase
  std::int32_t prompt = 0;
};

/// Tokens of one phase (empty: of both), prompt by prompt.
std::vector<PhaseToken> tokens_of_phase(const experts::Trace& trace, std::optional<bool> decode);

/// Counts the sets of experts that tokens chose in every run of `run_layers` consecutive layers.
RunStats count_runs(const experts::Trace& trace, std::span<const PhaseToken> tokens, int run_layers,
                    const PathStatsOptions& options, ThreadPool& pool, const CancelToken& cancel);

}  // namespace haq::profile
