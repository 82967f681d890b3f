// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <chrono>
#include <ctime>

namespace haq::text {

/// The clock of the reference vectors: 2026-01-15 12:34:56 local time.
inline std::chrono::system_clock::time_point fixed_time() {
  std::tm t{};
  t.tm_year = 2026 - 1900;
  t.tm_mday = 15;
  t.tm_hour = 12;
  t.tm_min = 34;
  t.tm_sec = 56;
  t.tm_isdst = -1;
  return std::chrono::system_clock::from_time_t(std::mktime(&t));
}

}  // namespace haq::text
