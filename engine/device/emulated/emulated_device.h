// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "engine/device/host/host_device.h"
#include "engine/device/slots.h"

namespace haq::device {

/// A card as its maker states it; for previews on a machine without one.
struct CardPreset {
  const char* name;  ///< word of --card
  const char* title;
  double memory_gib;
  double memory_gb_s;  ///< 1e9 bytes per second
  double int8_tops;    ///< dense
  double link_gb_s;    ///< reachable share of its PCIe generation, 1e9 bytes per second
  const char* source;  ///< where the figures are published
};
std::span<const CardPreset> card_presets();
/// kInvalidArgument naming the known words.
const CardPreset& card_preset(const std::string& name);

/// A link by its generation and lanes.
struct LinkPreset {
  const char* name;
  const char* title;
  double gb_s;  ///< reachable, 1e9 bytes per second
  const char* source;
};
std::span<const LinkPreset> link_presets();
/// kInvalidArgument naming the known words.
const LinkPreset& link_preset(const std::string& name);

struct EmulatedOptions {
  std::string name = "emulated";
  std::size_t memory_bytes = 0;  ///< 0: no limit of its own
  double link_gb_s = 25;         ///< > 0
  double link_latency_us = 10;   ///< per copy
  double tflops = 100;           ///< 1e12 operations per second (a multiply-add counts two)
  double memory_gb_s = 400;      ///< of the device's memory
  double launch_us = 5;          ///< per expert
  int threads = 1;               ///< that do the computing on the host
  Isa max_isa = Isa::kNative;    ///< of their kernels
  /// Copies take at least their modelled time, so that waiting for the link is real. Tests switch
  /// it off; no result depends on it.
  bool pace_link = true;
  /// kI8, or kBF16 for a device without integer products: int8 experts are then dequantized while
  /// they are copied, and its results are not bit-identical to the host's.
  DType hold = DType::kI8;
};

/// A second worker with its own arena, a byte budget and a throttled link, that computes on the
/// host with the same kernels: results and residency are real, times are modelled from the stated
/// figures (an expert takes launch + max(weights / memory speed, operations / tflops)). Submissions
/// run on its own thread in order; after a failure those that follow are left out until
/// synchronize() (or a copy to the host) has rethrown it. Its memory has addresses of its own,
/// which the host cannot read. Buffers, caches and arenas keep the device alive and wait for its
/// work when they end. kInvalidArgument for figures out of range.
std::shared_ptr<SlotDevice> make_emulated_device(const EmulatedOptions& options);

}  // namespace haq::device
