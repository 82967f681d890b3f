// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "app/cli/options.h"

namespace haq::cli {

/// `haq simulate --trace NAME --as-recorded`: drives the policy of the run that made a recording
/// through its paths once more, with the run's capacity, plan and costs, beside the rows that are
/// always shown. The live figures stand under `recorded`; hits and modelled times are equal when no
/// event was dropped. Throws UsageError for options that the recording decides, kInvalidArgument
/// for a recording that no run of this program made.
int simulate_as_recorded(const Arguments& arguments);

}  // namespace haq::cli
