// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/quant/arithmetic/row_kernels.h"

#include "engine/device/host/cpuid.h"

namespace haq::quant {

const RowKernels& row_kernels() {
  const device::host::CpuFeatures& features = device::host::cpu_features();
  if (features.avx512) return avx512_row_kernels();
  if (features.avx2) return avx2_row_kernels();
  return scalar_row_kernels();
}

}  // namespace haq::quant
