// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <string>

namespace haq {

/// What the processor calls itself ("unknown" where the system does not say).
std::string cpu_name();

}  // namespace haq
