// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <filesystem>

#include "engine/experts/trace.h"

namespace haq::profile {

using experts::count_uses;
using experts::Steps;
using experts::Trace;

/// What a file may leave unsaid; 0: take it from the file or infer it.
struct TraceHints {
  int layers = 0, experts = 0, top_k = 0;
};

/// Reads recorded paths of others: a folder with experts.u8 and index.jsonl, a route CSV (columns
/// turn,phase,step,layer,slot,expert,...; only its decode rows), a CSV `layer,expert` (a new token
/// starts where the layer number falls), or an int16 .npy [tokens, layers, top_k] with -1 for
/// absent. Untrusted: kCorrupt naming file and line or byte, kLimit, kInvalidArgument when hints
/// contradict the file or something cannot be inferred.
Trace read_trace(const std::filesystem::path& path, const TraceHints& hints = {});

}  // namespace haq::profile
