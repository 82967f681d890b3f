// SPDX-License-Identifier: GPL-3.0-or-later
#include <fmt/format.h>

#include "engine/device/host/cpuid.h"
#include "engine/device/host/host_device.h"
#include "engine/device/host/library_linear.h"
#include "engine/device/host/onednn.h"

namespace haq::device {
namespace {

/// What serves the products of one type at a limit, and a note when the library does not.
std::string describe(host::LibraryType type, const std::string& own, const HostOptions& options,
                     std::vector<std::string>& notes) {
  const Isa limit = options.max_isa;
  const bool int8 = type == host::LibraryType::kInt8;
  const char* what = int8 ? "int8" : "bf16";
  if (int8 && host::library_usable(type, limit) && !host::library_serves_int8(options)) {
    return fmt::format("own {} (oneDNN's products are used with AMX)", own);
  }
  if (host::library_usable(type, limit)) {
    const std::string name = host::library_implementation({type, 64, 1024, 2048, false});
    if (!name.empty()) {
      return fmt::format("oneDNN {}, own {} for fewer than {} rows", name, own,
                         host::kLibraryMinRows);
    }
    notes.push_back(
        fmt::format("{}: oneDNN offers only its reference implementation; own kernels "
                    "serve every row count.",
                    what));
  } else if (limit < Isa::kAvx512) {
    notes.push_back(fmt::format("{}: own kernels only, the instruction set is limited to {}.", what,
                                to_string(limit)));
  } else {
    notes.push_back(int8 ? "int8: own kernels only; oneDNN's int8 products are exact on processors "
                           "with AVX512-VNNI or AMX alone."
                         : "bf16: own kernels only; oneDNN needs AVX-512 for bfloat16 products.");
  }
  return "own " + own;
}

}  // namespace

KernelReport kernel_report(const HostOptions& options) {
  KernelReport report;
  const host::KernelTable& kernels = host::select_kernels(options.max_isa);
  const host::Int8Table& int8 = host::select_int8(options.max_isa);
  report.fixed_order = fmt::format("own {}", kernels.name);
  report.int8 = describe(host::LibraryType::kInt8, int8.name, options, report.notes);
  report.bf16 = describe(host::LibraryType::kBf16, kernels.name, options, report.notes);
  report.onednn_version = host::library_version();
  if (options.max_isa >= Isa::kAvx512 && !host::cpu_features().avx512) {
    report.notes.push_back(
        fmt::format("The processor has no AVX-512; fixed-order kernels use {}.", kernels.name));
  }
  if (options.pack_budget_bytes == 0) {
    report.notes.emplace_back("Packed copies are off; the library reads the checkpoint's layout.");
  }
  return report;
}

}  // namespace haq::device
