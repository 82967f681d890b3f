// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "engine/base/error.h"
#include "engine/device/host/host_impl.h"

namespace haq::device::host {

inline Glu glu_of(Activation activation) {
  switch (activation) {
    case Activation::kSwiGlu:
      return Glu::kSwiGlu;
    case Activation::kRelu:
      return Glu::kRelu;
    case Activation::kGptOss:
      return Glu::kGptOss;
  }
  fail(ErrorCode::kInternal, "ffn: unknown activation.");
}

/// Groups with their first row in the gathered order and their first unit of work in each stage.
struct HostDevice::FfnPlan {
  struct Part {
    const FfnGroup* group;
    std::int64_t first_row, rows, up_step, down_step, up_unit, down_unit;
  };
  std::vector<Part> parts;
  std::int64_t rows = 0, width = 0, up_units = 0, down_units = 0;
  Converted input, hidden;

  const Part& part_of(std::int64_t unit, std::int64_t Part::*first) const {
    auto it = std::upper_bound(parts.begin(), parts.end(), unit,
                               [&](std::int64_t u, const Part& p) { return u < p.*first; });
    return *(it - 1);
  }
};

}  // namespace haq::device::host
