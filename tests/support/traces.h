// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "engine/experts/trace.h"

namespace haq::test {

/// Single-token decode batches of one prompt; ids [token][layer][rank].
inline experts::Trace trace_of(const experts::ExpertShape& shape, std::vector<std::uint16_t> ids) {
  experts::Trace trace;
  trace.shape = shape;
  trace.ids = std::move(ids);
  for (std::int64_t token = 0; token < trace.tokens(); ++token) {
    trace.batches.push_back({token, 1, 0, true});
  }
  return trace;
}

}  // namespace haq::test
