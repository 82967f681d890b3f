// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <filesystem>
#include <random>
#include <string>

namespace haq::test {

/// Writes an int8 (W8A8) folder of a small model with random weights and a random shape: one to
/// four layers, two to twelve experts, any top-k, with and without dense layers, a shared expert
/// and grouped heads; of the Mixtral, Qwen2-MoE or Qwen3-MoE kind. Returns a line that describes
/// it.
std::string write_random_moe(std::mt19937& random, const std::filesystem::path& folder);

/// Ids of its vocabulary.
inline constexpr int kRandomMoeVocab = 64;

}  // namespace haq::test
