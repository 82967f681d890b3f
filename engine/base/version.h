// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

namespace haq {

/// The program's version, "0.3.0": what is written into files that tell how they were made.
const char* program_version();

}  // namespace haq
