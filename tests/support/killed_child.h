// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <functional>

namespace haq::test {

/// Does `work` in a child process, which reports numbers through the function that it is given, and
/// kills the child in the middle of it when `enough` says so of a number. Gives the last number
/// reported, also by a report that was on its way when the kill came. Throws std::runtime_error
/// when the child ends by itself.
std::int64_t last_report_of_killed(
    const std::function<void(const std::function<void(std::int64_t)>& report)>& work,
    const std::function<bool(std::int64_t)>& enough);

}  // namespace haq::test
