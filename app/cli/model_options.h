// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>

#include "app/cli/options.h"
#include "engine/session/session.h"
#include "engine/session/statistics.h"

namespace haq::cli {

/// MODEL, used by every command that reads one.
Positional model_positional();
/// --compute, --prefill-chunk.
std::span<const Option> run_options();
/// --max-tokens, --temperature ... --seed, --stop.
std::span<const Option> sampling_options();
/// The same without defaults: a chat takes them from the model.
std::span<const Option> chat_sampling_options();

/// The folder named by MODEL, else the demo model.
std::filesystem::path model_folder(const Arguments& arguments);
session::LoadOptions load_options(const Arguments& arguments);
/// Loads with progress on stderr; Ctrl+C cancels.
std::shared_ptr<session::Model> load_model(const Arguments& arguments,
                                           const session::LoadOptions& options);

/// `base` with what the user gave on the command line.
session::SamplingOptions sampling_from(const Arguments& arguments, session::SamplingOptions base);
nlohmann::ordered_json sampling_json(const session::SamplingOptions& sampling);
/// Name, architecture, compute mode, threads, prefill chunk, load time of a loaded model.
nlohmann::ordered_json model_json(session::Model& model);
/// [low, high], or null when there is no interval.
nlohmann::ordered_json interval_json(const std::optional<session::Interval>& interval);

/// Reads a UTF-8 text file of at most 256 MiB.
std::string read_utf8_file(const std::filesystem::path& path);

}  // namespace haq::cli
