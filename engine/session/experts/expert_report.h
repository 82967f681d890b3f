// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "engine/experts/runtime/runtime.h"
#include "engine/session/experts/expert_run.h"

namespace haq::session {

/// What is told of a run besides the runtime's own counts.
struct ExpertFacts {
  std::size_t slot_bytes = 0;
  bool bit_identical = true;  ///< results have the bits of a run on the CPU alone
  double link_gb_s = 0;       ///< 0: no device
  double seconds = 0;         ///< the model worked; 0: not known
  std::string recording;      ///< name; empty: none
  std::int64_t dropped_events = 0;
  std::string recording_failure;
};

/// The object `experts` of the command line's JSON. Times that no cost table predicts are null.
nlohmann::ordered_json experts_json(const experts::RuntimeStats& stats, const ExpertRun& run,
                                    const ExpertFacts& facts);
/// The same in a few lines for a person.
std::string experts_text(const experts::RuntimeStats& stats, const ExpertRun& run,
                         const ExpertFacts& facts);

}  // namespace haq::session
