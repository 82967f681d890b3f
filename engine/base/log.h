// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <string>
#include <string_view>

namespace haq::log {

/// "trace", "debug", "info", "warn", "error", "off". Throws kInvalidArgument for another word.
/// The logger writes to stderr; the default level is "warn".
void set_level(std::string_view level);
void debug(const std::string& message);
void info(const std::string& message);
void warn(const std::string& message);

}  // namespace haq::log
