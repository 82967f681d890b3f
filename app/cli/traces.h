// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "app/cli/options.h"
#include "engine/profile/traces/trace.h"

namespace haq::cli {

/// Recorded expert paths as a command names them.
struct NamedTrace {
  std::string name;  ///< as it was given
  profile::Trace trace;
  std::string architecture, fingerprint;  ///< of the recorded model; empty when not known
};

/// --layers, --experts, --top-k: what a file of paths may leave unsaid.
std::span<const Option> trace_options();
profile::TraceHints trace_hints(const Arguments& arguments);

/// The database named by --db, else the user's own.
std::filesystem::path database_path(const Arguments& arguments);

/// Reads recorded expert paths: `text` is a file or folder that exists, else the name of a
/// recording in the database. What the reader remarks goes to stderr. Throws as
/// profile::read_trace() and profile::Recordings do, kNotFound when there is nothing of that name,
/// kInvalidArgument when hints contradict a recording.
NamedTrace load_trace(const Arguments& arguments, const std::string& text,
                      const profile::TraceHints& hints = {});

/// Several of one shape.
/// kInvalidArgument naming two that differ in shape or, both being known, in their model.
std::vector<NamedTrace> load_traces(const Arguments& arguments,
                                    const std::vector<std::string>& names,
                                    const profile::TraceHints& hints = {});

}  // namespace haq::cli
