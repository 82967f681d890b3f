// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <span>

namespace haq::profile {

/// "HAQS": marks our files (PRAGMA application_id).
inline constexpr int kApplicationId = 0x48415153;

/// One SQL script per version; script i takes version i to i + 1. Scripts that have been released
/// never change: a new version appends one.
std::span<const char* const> migrations();

}  // namespace haq::profile
