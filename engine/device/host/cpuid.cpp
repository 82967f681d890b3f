// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/device/host/cpuid.h"

#include <cpuid.h>

#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "engine/base/error.h"
#include "engine/base/log.h"
#include "engine/device/host/onednn.h"

namespace haq::device {
namespace host {
namespace {

struct Registers {
  unsigned a = 0, b = 0, c = 0, d = 0;
};

Registers cpuid(unsigned leaf, unsigned subleaf) {
  Registers r;
  if (__get_cpuid_count(leaf, subleaf, &r.a, &r.b, &r.c, &r.d) == 0) return {};
  return r;
}

bool bit(unsigned value, int index) {
  return ((value >> index) & 1U) != 0;
}

/// Register sets that the operating system saves (XCR0).
std::uint64_t saved_state() {
  std::uint32_t low = 0, high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (static_cast<std::uint64_t>(high) << 32) | low;
}

CpuFeatures detect() {
  CpuFeatures f;
  const Registers basic = cpuid(1, 0);
  const bool osxsave = bit(basic.c, 27);
  if (!osxsave) return f;
  constexpr std::uint64_t kYmm = 0x6, kZmm = 0xe6, kTiles = 0x60000;
  const std::uint64_t saved = saved_state();
  const Registers seven = cpuid(7, 0);
  const Registers seven_one = seven.a >= 1 ? cpuid(7, 1) : Registers{};
  const bool ymm = (saved & kYmm) == kYmm;
  const bool zmm = (saved & kZmm) == kZmm;
  f.avx2 = ymm && bit(basic.c, 28) && bit(basic.c, 12) && bit(seven.b, 5);
  f.avx_vnni = f.avx2 && bit(seven_one.a, 4);
  f.avx512 =
      f.avx2 && zmm && bit(seven.b, 16) && bit(seven.b, 17) && bit(seven.b, 30) && bit(seven.b, 31);
  f.avx512_vnni = f.avx512 && bit(seven.c, 11);
  f.avx512_bf16 = f.avx512 && bit(seven_one.a, 5);
  const bool tiles = f.avx512 && (saved & kTiles) == kTiles && bit(seven.d, 24);
  f.amx_bf16 = tiles && bit(seven.d, 22);
  f.amx_int8 = tiles && bit(seven.d, 25);
  return f;
}

constexpr Isa kAll[] = {Isa::kScalar, Isa::kAvx2, Isa::kAvxVnni, Isa::kAvx512, Isa::kNative};

}  // namespace

const CpuFeatures& cpu_features() {
  static const CpuFeatures features = detect();
  return features;
}

bool can_run(Isa isa) {
  const CpuFeatures& f = cpu_features();
  switch (isa) {
    case Isa::kScalar:
    case Isa::kNative:
      return true;
    case Isa::kAvx2:
      return f.avx2;
    case Isa::kAvxVnni:
      return f.avx_vnni;
    case Isa::kAvx512:
      return f.avx512;
  }
  return false;
}

const KernelTable& select_kernels(Isa limit) {
  const CpuFeatures& f = cpu_features();
  if (limit >= Isa::kAvx512 && f.avx512) return avx512_kernels();
  if (limit >= Isa::kAvx2 && f.avx2) return avx2_kernels();
  return scalar_kernels();
}

const Int8Table& select_int8(Isa limit) {
  const CpuFeatures& f = cpu_features();
  if (limit >= Isa::kAvx512 && f.avx512_vnni) return avx512_vnni_int8();
  if (limit >= Isa::kAvxVnni && f.avx_vnni) return avx_vnni_int8();
  if (limit >= Isa::kAvx2 && f.avx2) return avx2_int8();
  return scalar_int8();
}

}  // namespace host

const char* to_string(Isa isa) {
  switch (isa) {
    case Isa::kScalar:
      return "scalar";
    case Isa::kAvx2:
      return "avx2";
    case Isa::kAvxVnni:
      return "avxvnni";
    case Isa::kAvx512:
      return "avx512";
    case Isa::kNative:
      return "native";
  }
  return "?";
}

std::vector<std::string> runnable_isa_limits() {
  std::vector<std::string> names;
  for (const Isa isa : host::kAll) {
    if (host::can_run(isa)) names.emplace_back(to_string(isa));
  }
  return names;
}

Isa isa_limit_from_environment() {
  const char* value = std::getenv("HAQ_MAX_ISA");  // NOLINT(concurrency-mt-unsafe)
  if (value == nullptr || *value == '\0') return Isa::kNative;
  std::string known;
  for (const Isa isa : host::kAll) {
    if (std::string(value) == to_string(isa)) {
      if (!host::can_run(isa)) {
        fail(ErrorCode::kInvalidArgument, "HAQ_MAX_ISA is {}, which this processor cannot run.",
             value);
      }
      if (!host::limit_library(isa)) {
        log::warn("HAQ_MAX_ISA was read after oneDNN's first use; oneDNN keeps its former limit.");
      }
      return isa;
    }
    known += known.empty() ? "" : ", ";
    known += to_string(isa);
  }
  fail(ErrorCode::kInvalidArgument, "HAQ_MAX_ISA is '{}'; expected one of: {}", value, known);
}

}  // namespace haq::device
