// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <span>
#include <utility>

#include "engine/experts/trace.h"

namespace haq::experts {

/// The first `tokens` tokens and the rest; a batch that lies across goes to the rest.
std::pair<Trace, Trace> split_trace(const Trace& trace, std::int64_t tokens);

/// One trace after the other, prompts renumbered from 0. Shapes must be equal (kInvalidArgument);
/// an empty list gives an empty trace.
Trace join_traces(std::span<const Trace* const> traces);

}  // namespace haq::experts
