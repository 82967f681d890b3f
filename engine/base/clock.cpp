// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/base/clock.h"

#include <chrono>
#include <ctime>

namespace haq {
namespace {

/// `to_parts` is ::gmtime_r or ::localtime_r.
std::string formatted(std::int64_t ms, const char* format,
                      std::tm* (*to_parts)(const std::time_t*, std::tm*)) {
  const auto seconds = static_cast<std::time_t>(ms / 1000);
  std::tm parts{};
  to_parts(&seconds, &parts);
  char text[40];
  return {text, std::strftime(text, sizeof text, format, &parts)};
}

}  // namespace

std::int64_t now_ms() {
  using namespace std::chrono;
  return duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
}

std::string utc_text(std::int64_t ms) {
  return formatted(ms, "%Y-%m-%dT%H:%M:%SZ", ::gmtime_r);
}
std::string utc_file_text(std::int64_t ms) {
  return formatted(ms, "%Y%m%d-%H%M%S", ::gmtime_r);
}
std::string local_text(std::int64_t ms) {
  return formatted(ms, "%Y-%m-%d %H:%M", ::localtime_r);
}

}  // namespace haq
