// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <span>

#include "engine/base/progress.h"
#include "engine/experts/placement.h"

namespace haq::experts {

/// Fills pinned and scores of `plan` (shape and budget are set) by two-stage placement; see
/// place(), which has checked the options.
void place_two_stage(std::span<const Trace* const> paths, const PlacementOptions& options,
                     const ProgressCallback& progress, const CancelToken& cancel, Plan& plan);

}  // namespace haq::experts
