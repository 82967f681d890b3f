// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <functional>
#include <vector>

#include "engine/device/device.h"
#include "engine/session/bench.h"
#include "engine/session/bench_shapes.h"

namespace haq::session {

/// What the machine reaches at best.
struct MachinePeaks {
  double read_gb_per_s = 0;
  /// 1e9 operations per second of the library's own product [m, k] x [k, n]; 0 where it has none.
  std::function<double(const GemmShape&)> gemm_gops;
};

/// Times the device's linear kernel alone on weights of one shape: one row against a plain read of
/// memory, shape.m rows against the library's product. The weights are random and repeated until
/// they exceed the caches (at most 64 copies), so that one row really reads memory.
std::vector<RooflineRow> linear_kernel_rows(device::Device& device, device::LinearPath path,
                                            const GemmShape& shape, const MachinePeaks& peaks);

}  // namespace haq::session
