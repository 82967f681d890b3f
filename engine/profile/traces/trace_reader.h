// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <filesystem>
#include <string_view>
#include <vector>

#include "engine/profile/traces/trace.h"

/// One function per form of recorded paths; read_trace() chooses.
namespace haq::profile {

/// More choices than this in one file are refused.
inline constexpr std::int64_t kMaxChoices = std::int64_t{2} << 30;

Trace read_trace_folder(const std::filesystem::path& folder, const TraceHints& hints);
Trace read_trace_npy(const std::filesystem::path& file, const TraceHints& hints);
Trace read_trace_csv(const std::filesystem::path& file, const TraceHints& hints);

/// Sets the shape from what a file shows and the hints, checks every id, and makes every token a
/// decode batch of its own when `trace.batches` is empty. `what` names the file.
void finish_trace(Trace& trace, const TraceHints& hints, const std::string& what);

/// The largest number of ranks per layer for which no token of a [tokens][width] table of ids
/// repeats an expert within a layer.
int infer_top_k(const std::vector<std::uint16_t>& ids, std::int64_t width);

}  // namespace haq::profile
