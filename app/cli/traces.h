// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <string>

#include "app/cli/options.h"
#include "engine/profile/trace.h"

namespace haq::cli {

/// Recorded expert paths as a command names them.
struct NamedTrace {
  std::string name;  ///< as it was given
  profile::Trace trace;
  std::string architecture, fingerprint;  ///< of the recorded model; empty when not known
};

/// Reads recorded expert paths: `text` is a file or folder that exists. What the reader remarks
/// goes to stderr. Throws as profile::read_trace() does, kNotFound when there is nothing of that
/// name.
NamedTrace load_trace(const Arguments& arguments, const std::string& text,
                      const profile::TraceHints& hints = {});

}  // namespace haq::cli
