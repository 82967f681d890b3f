// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/device/host/simd_avx512.h"

// The loops use the lanes defined above: keep the order.
#include "engine/quant/arithmetic/row_kernels_impl.h"

namespace haq::quant {

const RowKernels& avx512_row_kernels() {
  return kTable;
}

}  // namespace haq::quant
