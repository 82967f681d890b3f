// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <string>

namespace haq {

/// Bytes this process may still use: the smaller of what the kernel calls available (page cache
/// that can be dropped included) and what the control group leaves. 0: not known.
std::uint64_t available_memory();

/// Highest resident memory of this process so far, in bytes.
std::uint64_t peak_rss_bytes();

/// "1.5 GiB", "312 MiB", "17 KiB".
std::string format_bytes(std::uint64_t bytes);

}  // namespace haq
