// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace haq {

/// Limits for JSON from outside; both guard the stack and memory against JSON bombs.
struct JsonLimits {
  std::size_t max_bytes = std::size_t{64} << 20;
  int max_depth = 64;
};

/// Parses untrusted JSON (UTF-8). `what` names the source in messages. Duplicate keys in an object,
/// nesting beyond the limit, trailing text and invalid UTF-8 are errors (kCorrupt / kLimit).
nlohmann::json parse_json(std::string_view text, std::string_view what, const JsonLimits& = {});
/// The same, keeping the order of keys (chat messages, tools).
nlohmann::ordered_json parse_ordered_json(std::string_view text, std::string_view what,
                                          const JsonLimits& = {});
/// Reads and parses a file.
nlohmann::json parse_json_file(const std::filesystem::path& path, const JsonLimits& = {});

}  // namespace haq
