// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <string>

namespace haq {

/// Milliseconds since 1970, UTC.
std::int64_t now_ms();

/// A time as "2025-01-31T23:59:59Z".
std::string utc_text(std::int64_t ms);
/// The same for names of files: "20250131-235959".
std::string utc_file_text(std::int64_t ms);
/// For people: "2025-01-31 23:59" in the local time zone.
std::string local_text(std::int64_t ms);

}  // namespace haq
