// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace haq::test {

/// A matrix [rows, cols] rounded to int8 with one scale per row: scale = max|w| / 127, q = rint(w /
/// scale) within [-127, 127]; an all-zero row has scale 1.
struct RoundedMatrix {
  std::vector<std::int8_t> values;
  std::vector<float> scales;
};
RoundedMatrix round_matrix(std::span<const float> weights, std::int64_t rows, std::int64_t cols);

/// True for the `.weight` of a linear layer that stays 16-bit in a W8A8 folder: embeddings,
/// lm_head, router gates and the gate of a shared expert.
bool stays_16_bit(const std::string& tensor_name);

/// Writes `target`, a compressed-tensors int-quantized (W8A8) copy of the 16-bit model folder
/// `source`: every linear layer but those of stays_16_bit() is rounded plainly. The other small
/// files are copied. Throws std::runtime_error for models whose experts are fused into one tensor.
void write_quantized_folder(const std::filesystem::path& source,
                            const std::filesystem::path& target);

}  // namespace haq::test
