// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace haq {

/// Bytes this process may still use: the smaller of what the kernel calls available (page cache
/// that can be dropped included) and what its control groups leave. 0: not known.
std::uint64_t available_memory();

/// What the version 2 control groups from `group` ("/user.slice/x.scope", as in /proc/self/cgroup)
/// up to the top of the hierarchy at `root` still allow. Page cache charged to a group can be
/// dropped, so it counts as free. nullopt: none of them has a limit.
std::optional<std::uint64_t> group_available(const std::filesystem::path& root,
                                             const std::string& group);

/// Highest resident memory of this process so far, in bytes.
std::uint64_t peak_rss_bytes();

/// "1.5 GiB", "312 MiB", "17 KiB".
std::string format_bytes(std::uint64_t bytes);

}  // namespace haq
