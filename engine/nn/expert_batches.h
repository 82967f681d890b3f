// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstddef>
#include <span>

#include "engine/base/progress.h"
#include "engine/device/device.h"

namespace haq::nn {

/// Multiply-adds between two looks at the cancel token: some 20 ms on a fast desktop, 200 on a slow
/// one. Each batch converts its input anew and ends with idle threads, so that short ones cost
/// speed.
inline constexpr double kExpertBatchWork = 1e10;

/// Multiply-adds of one group.
inline double work_of(const device::FfnGroup& group) {
  const device::FfnSpec& ffn = *group.ffn;
  const double matrices = ffn.gate ? 3 : 2;
  return matrices * static_cast<double>(group.rows.size()) * static_cast<double>(ffn.up->in()) *
         static_cast<double>(ffn.up->out());
}

/// Runs the groups on the device in batches of about kExpertBatchWork, looking at `cancel` (may be
/// null) before each.
inline void run_in_batches(device::Device& device, device::ConstRows x,
                           std::span<const device::FfnGroup> groups, device::Rows slots,
                           const CancelToken* cancel) {
  for (std::size_t begin = 0; begin < groups.size();) {
    std::size_t end = begin;
    double work = 0;
    while (end < groups.size() && (end == begin || work < kExpertBatchWork)) {
      work += work_of(groups[end++]);
    }
    if (cancel != nullptr) cancel->check();
    device.ffn(x, groups.subspan(begin, end - begin), slots);
    begin = end;
  }
}

}  // namespace haq::nn
