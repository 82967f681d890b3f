// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <algorithm>

#include "engine/experts/cost_table.h"
#include "engine/experts/step.h"

namespace haq::experts {

/// The modelled time of a step by the rule that policies decide by: misses on the CPU, hits on the
/// device after the step's copies, both lanes at once.
struct StepLanes {
  double cpu_us = 0, device_us = 0;
  int misses = 0;

  double us(int copies, double copy_us) const {
    return std::max(cpu_us, copies * copy_us + device_us);
  }
};

/// Costs that can be decided by. What is not known (no knots, or a copy that takes no time) is
/// taken for a PC whose link is 2.4 times slower than its memory, in units of an expert on its CPU.
inline CostTable usable_costs(const CostTable& costs) {
  const bool known = !costs.cpu.empty() && !costs.device.empty() && costs.upload_us(1) > 0;
  return known ? costs : CostTable::stated(1, 0, 25, 60e3);
}

/// Lanes of a step that begins with these residents.
inline StepLanes step_lanes(const Step& step, const Residency& residency, const CostTable& costs) {
  StepLanes lanes;
  const ExpertIndex base = residency.shape().index(step.layer, 0);
  if (step.tokens == 1) {
    for (const std::uint16_t expert : step.experts)
      lanes.misses += !residency.contains(base + expert);
    const int hits = static_cast<int>(step.experts.size()) - lanes.misses;
    lanes.cpu_us = lanes.misses * costs.cpu_us(1);
    lanes.device_us = hits * costs.device_us(1);
    return lanes;
  }
  for (std::size_t i = 0; i < step.experts.size(); ++i) {
    if (residency.contains(base + step.experts[i])) {
      lanes.device_us += costs.device_us(step.counts[i]);
    } else {
      lanes.cpu_us += costs.cpu_us(step.counts[i]);
      ++lanes.misses;
    }
  }
  return lanes;
}

}  // namespace haq::experts
