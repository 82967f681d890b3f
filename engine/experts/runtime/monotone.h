// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <vector>

#include "engine/experts/cost_table.h"

namespace haq::experts {

/// The nearest (least squares) non-decreasing times: pool adjacent violators. More tokens never
/// cost less; where a measurement says so it is noise, and a dispatcher would chase it.
void make_monotone(std::vector<CostTable::Knot>& knots);

}  // namespace haq::experts
