// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <string>

#include "app/cli/options.h"
#include "engine/session/experts/experts.h"

namespace haq::cli {

/// --device, --vram, --policy, --plan, --path-goal, --miss, --card, --link, --emulate-gpu-tflops,
/// --learn.
std::span<const Option> expert_options();
/// --record: generate, chat, eval and bench; profile has a name of its own for it.
std::span<const Option> record_option();

/// What the options ask for. Throws UsageError for what no model could make right; call it before
/// the model is loaded.
session::ExpertOptions expert_options_from(const Arguments& arguments);

/// Attaches with progress and remarks on stderr. Null for a dense model.
std::unique_ptr<session::ExpertSession> attach_experts(const Arguments& arguments,
                                                       std::shared_ptr<session::Model> model,
                                                       const session::ExpertOptions& options);

/// Ends the session after `seconds` of work: remarks on stderr about a recording, and the object
/// for the key `experts`.
nlohmann::ordered_json finish_experts(const Arguments& arguments, session::ExpertSession& experts,
                                      double seconds);

/// A short account on stderr when something besides the CPU took part. Null: nothing.
void note_experts(const Arguments& arguments, const session::ExpertSession* experts);

}  // namespace haq::cli
