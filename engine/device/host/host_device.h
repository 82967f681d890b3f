// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/base/threads.h"
#include "engine/device/device.h"

namespace haq::device {

/// Instruction sets of the own kernels, weakest first. kAvxVnni: AVX2 plus VEX-encoded VNNI.
/// kAvx512: F, BW, DQ, VL (+ VNNI, BF16 when present). kNative: everything, AMX through oneDNN.
enum class Isa { kScalar, kAvx2, kAvxVnni, kAvx512, kNative };
const char* to_string(Isa isa);
/// Values of HAQ_MAX_ISA that this CPU can run, weakest first ("scalar", ..., "native").
std::vector<std::string> runnable_isa_limits();
/// Reads HAQ_MAX_ISA (default native) and limits oneDNN likewise; must run before the first oneDNN
/// call. Throws kInvalidArgument for an unknown value or one this CPU cannot run.
Isa isa_limit_from_environment();

/// Who computes int8 products of many rows. kAuto: oneDNN where the CPU has AMX, else our own
/// kernels. kLibrary: oneDNN wherever its products are exact (AVX512-VNNI or AMX).
enum class Int8Products { kAuto, kLibrary, kOwn };

struct HostOptions {
  int threads = 0;  ///< 0: all available cores
  Isa max_isa = Isa::kNative;
  Int8Products int8 = Int8Products::kAuto;  ///< never changes a bit of a result
  /// Copies packed for oneDNN beyond this use the unpacked path, which costs some 10 % of the speed
  /// of a prompt. Our own kernels make none. SIZE_MAX: while weights and copies together stay below
  /// 60 % of the physical memory.
  std::size_t pack_budget_bytes = SIZE_MAX;
};

/// The CPU. Thread count and instruction set are fixed at construction.
std::unique_ptr<Device> make_host_device(const HostOptions& options);

/// Facts for `haq doctor`: which kernel serves what, and why.
struct KernelReport {
  std::string int8, bf16,
      fixed_order;  ///< e.g. "oneDNN brg:avx512_core_vnni, own avx512 for M < 16"
  std::string onednn_version;
  std::vector<std::string> notes;  ///< fallbacks and their reasons
};
KernelReport kernel_report(const HostOptions& options);

/// Compares every integer and fixed-order kernel this CPU can run with the scalar reference on
/// random and adversarial inputs. Returns the failures (empty: passed). Takes well under a second.
std::vector<std::string> self_test(const HostOptions& options);

}  // namespace haq::device
