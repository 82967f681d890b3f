// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "engine/experts/runtime/runtime.h"

namespace haq::session {

/// How experts were run: all that a replay needs to decide the same (Recording::run_json).
struct ExpertRun {
  std::string device;  ///< kind
  std::string device_name;
  bool emulated = false;
  experts::RuntimeOptions options;  ///< without `history`
  bool costs_known = false;         ///< options.policy_options.costs holds a table
  std::string learn;                ///< recording that `history` was read from; empty: none
  int threads = 1, prefill_chunk = 512;
};

nlohmann::ordered_json to_json(const ExpertRun& run);
/// Untrusted: kCorrupt naming `what`, the field, what was found and expected. Other fields than
/// those of to_json() are left alone. The indices of a plan are checked against `shape`.
ExpertRun expert_run_from_json(const nlohmann::ordered_json& json,
                               const experts::ExpertShape& shape, const std::string& what);

}  // namespace haq::session
