// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <nlohmann/json.hpp>
#include <vector>

#include "engine/profile/replay/replay.h"

/// What `haq simulate` tells of replays.
namespace haq::cli {

/// One of `results[]`. `timed`: times and bytes are known; those of a random set never are, nor is
/// a time that is not a number.
nlohmann::ordered_json replay_json(const profile::ReplayResult& result, bool timed);
/// The same as lines of a table on stdout; `tokens` were counted.
void print_replays(const std::vector<profile::ReplayResult>& results, double tokens, bool timed);

}  // namespace haq::cli
