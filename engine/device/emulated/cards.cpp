// SPDX-License-Identifier: GPL-3.0-or-later
#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "engine/base/error.h"
#include "engine/device/emulated/emulated_device.h"

namespace haq::device {
namespace {

/// What copies reach of a PCI Express link: 25 GB/s on 16 lanes of generation 4, which is 79 % of
/// the rate after line coding (16 GT/s a lane, 128b/130b); the same share of the others.
constexpr double pcie(int generation, int lanes) {
  return 25.0 / 16 * lanes * (generation == 3 ? 0.5 : generation == 4 ? 1.0 : 2.0);
}

constexpr const char* kPcie = "PCI Express base specification: rate per lane; 79 % of it";

constexpr std::array kLinks = {
    LinkPreset{"pcie3x8", "PCI Express 3.0, 8 lanes", pcie(3, 8), kPcie},
    LinkPreset{"pcie3x16", "PCI Express 3.0, 16 lanes", pcie(3, 16), kPcie},
    LinkPreset{"pcie4x8", "PCI Express 4.0, 8 lanes", pcie(4, 8), kPcie},
    LinkPreset{"pcie4x16", "PCI Express 4.0, 16 lanes", pcie(4, 16), kPcie},
    LinkPreset{"pcie5x8", "PCI Express 5.0, 8 lanes", pcie(5, 8), kPcie},
    LinkPreset{"pcie5x16", "PCI Express 5.0, 16 lanes", pcie(5, 16), kPcie},
};

// Makers state int8 speed in different ways. Where they state it with sparsity the dense figure is
// half of it; where only a total of "AI TOPS" is stated the source says how int8 follows from it.
constexpr std::array kCards = {
    CardPreset{
        "gtx-1060", "GeForce GTX 1060 6 GB", 6, 192, 17.5, pcie(3, 16),
        "NVIDIA specifications; int8 as four times the float32 rate (DP4A, no tensor cores)"},
    CardPreset{"rtx-2060", "GeForce RTX 2060 6 GB", 6, 336, 103, pcie(3, 16),
               "NVIDIA specifications; int8 as twice the tensor float16 rate (Turing white paper)"},
    CardPreset{"rtx-3060", "GeForce RTX 3060 12 GB", 12, 360, 102, pcie(4, 16),
               "NVIDIA specifications; int8 as twice the dense tensor float16 rate"},
    CardPreset{"rtx-3070", "GeForce RTX 3070 8 GB", 8, 448, 162.6, pcie(4, 16),
               "NVIDIA Ampere GA102 architecture white paper"},
    CardPreset{"rtx-3090", "GeForce RTX 3090 24 GB", 24, 936, 284, pcie(4, 16),
               "NVIDIA Ampere GA102 architecture white paper"},
    CardPreset{"rtx-4060", "GeForce RTX 4060 8 GB", 8, 272, 121, pcie(4, 8),
               "NVIDIA specifications; half of the stated 242 AI TOPS (with sparsity)"},
    CardPreset{"rtx-4060-ti", "GeForce RTX 4060 Ti 16 GB", 16, 288, 176.5, pcie(4, 8),
               "NVIDIA specifications; half of the stated 353 AI TOPS (with sparsity)"},
    CardPreset{"rtx-4070", "GeForce RTX 4070 12 GB", 12, 504, 233, pcie(4, 16),
               "NVIDIA specifications; half of the stated 466 AI TOPS (with sparsity)"},
    CardPreset{"rtx-4090", "GeForce RTX 4090 24 GB", 24, 1008, 660.6, pcie(4, 16),
               "NVIDIA Ada GPU architecture white paper"},
    CardPreset{"rtx-5060-ti", "GeForce RTX 5060 Ti 16 GB", 16, 448, 189.75, pcie(5, 8),
               "NVIDIA specifications; a quarter of the stated 759 AI TOPS (float4 with sparsity)"},
    CardPreset{
        "rtx-5090", "GeForce RTX 5090 32 GB", 32, 1792, 838, pcie(5, 16),
        "NVIDIA specifications; a quarter of the stated 3352 AI TOPS (float4 with sparsity)"},
    CardPreset{"t4", "NVIDIA T4 16 GB", 16, 300, 130, pcie(3, 16), "NVIDIA T4 data sheet"},
    CardPreset{"a10", "NVIDIA A10 24 GB", 24, 600, 250, pcie(4, 16), "NVIDIA A10 data sheet"},
    CardPreset{"l4", "NVIDIA L4 24 GB", 24, 300, 242.5, pcie(4, 16),
               "NVIDIA L4 data sheet; half of the stated 485 TOPS (with sparsity)"},
    CardPreset{"rx-7600", "Radeon RX 7600 8 GB", 8, 288, 43, pcie(4, 8),
               "AMD specifications; int8 at the stated half-precision rate (RDNA 3 matrix "
               "instructions)"},
    CardPreset{"arc-a770", "Arc A770 16 GB", 16, 560, 262, pcie(4, 16),
               "Intel product specifications"},
    CardPreset{"arc-b580", "Arc B580 12 GB", 12, 456, 233, pcie(4, 8),
               "Intel product specifications"},
};

template <class Presets>
const auto& named(const Presets& presets, const std::string& name, const char* what) {
  const auto found = std::find_if(presets.begin(), presets.end(),
                                  [&](const auto& preset) { return name == preset.name; });
  if (found != presets.end()) return *found;
  std::string known;
  for (const auto& preset : presets)
    known += (known.empty() ? "" : ", ") + std::string(preset.name);
  throw Error(ErrorCode::kInvalidArgument, fmt::format("There is no {} '{}'.", what, name),
              "known: " + known);
}

}  // namespace

std::span<const CardPreset> card_presets() {
  return kCards;
}

const CardPreset& card_preset(const std::string& name) {
  return named(kCards, name, "card");
}

std::span<const LinkPreset> link_presets() {
  return kLinks;
}

const LinkPreset& link_preset(const std::string& name) {
  return named(kLinks, name, "link");
}

}  // namespace haq::device
