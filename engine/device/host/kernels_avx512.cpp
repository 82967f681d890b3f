// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/device/host/simd_avx512.h"

// The kernels use the lanes defined above: keep the order.
#include "engine/device/host/kernels_table.h"

namespace haq::device::host {

const KernelTable& avx512_kernels() {
  return kTable;
}

}  // namespace haq::device::host
