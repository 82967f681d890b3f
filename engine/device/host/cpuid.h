// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "engine/device/host/host_device.h"
#include "engine/device/host/kernels.h"

namespace haq::device::host {

/// What this processor and its operating system offer. A flag is set only when the operating system
/// saves the registers it needs (XGETBV).
struct CpuFeatures {
  bool avx2 = false;      ///< AVX2 and FMA
  bool avx_vnni = false;  ///< VEX-encoded vpdpbusd
  bool avx512 = false;    ///< F, BW, DQ, VL
  bool avx512_vnni = false;
  bool avx512_bf16 = false;
  bool amx_int8 = false;
  bool amx_bf16 = false;
};

const CpuFeatures& cpu_features();

/// True when this processor can run everything up to `isa`.
bool can_run(Isa isa);

/// The best table within a limit. Fixed-order kernels know scalar, AVX2 and AVX-512.
const KernelTable& select_kernels(Isa limit);
const Int8Table& select_int8(Isa limit);

}  // namespace haq::device::host
