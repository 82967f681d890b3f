// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/traces.h"

#include <filesystem>

#include "app/cli/console.h"
#include "engine/base/error.h"

namespace haq::cli {

NamedTrace load_trace(const Arguments& arguments, const std::string& text,
                      const profile::TraceHints& hints) {
  if (!std::filesystem::exists(text)) {
    throw Error(ErrorCode::kNotFound, fmt::format("{}: no such file", text),
                "name a file or folder of recorded expert paths");
  }
  NamedTrace found{text, profile::read_trace(text, hints), {}, {}};
  for (const std::string& notice : found.trace.notices) note(arguments, notice);
  return found;
}

}  // namespace haq::cli
