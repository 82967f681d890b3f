// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/nn/decoder.h"

namespace haq::test {

struct LoadSettings {
  nn::Compute compute = nn::Compute::kFp32;
  int threads = 2;
  std::string isa = "native";
  int prefill_chunk = 512;
  bool emulated = false;  ///< everything on an emulated device instead of the host's
};

std::unique_ptr<nn::Decoder> load_decoder(const std::filesystem::path& folder,
                                          const LoadSettings& settings = {});

/// Appends `ids` in pieces of `chunk` tokens and returns the logits of every row, [ids, vocab].
std::vector<float> append(nn::Decoder& decoder, nn::Sequence& sequence,
                          std::span<const std::int32_t> ids, std::size_t chunk = 512);

/// Logits of every row of a fresh sequence that holds `ids`.
std::vector<float> run_prompt(nn::Decoder& decoder, std::span<const std::int32_t> ids,
                              std::size_t chunk = 512);

/// Reads `prompt` and continues with the most probable id `count` times, using the cache.
std::vector<std::int32_t> continue_greedily(nn::Decoder& decoder,
                                            std::span<const std::int32_t> prompt,
                                            std::size_t count);

/// Index of the largest value, the lowest on ties.
std::int32_t argmax(std::span<const float> values);

struct Deviation {
  double max = 0, rms = 0;
};
Deviation deviation(std::span<const float> values, std::span<const float> expected);

/// Every value has the same bits in both.
bool same_bits(std::span<const float> left, std::span<const float> right);

}  // namespace haq::test
