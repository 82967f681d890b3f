// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <bit>
#include <memory>
#include <vector>

namespace haq {

enum class DType : std::uint8_t { kF32, kF16, kBF16, kI8 };

constexpr std::size_t size_of(DType type) {
  return type == DType::kF32 ? 4 : type == DType::kI8 ? 1 : 2;
}
const char* to_string(DType type);  ///< "F32", "F16", "BF16", "I8"

/// bfloat16 as stored bits.
struct BFloat16 {
  std::uint16_t bits = 0;
};

inline float to_float(BFloat16 value) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(value.bits) << 16);
}

/// Round to nearest even; NaN stays a NaN.
inline BFloat16 to_bf16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7fffffffU) > 0x7f800000U) return {static_cast<std::uint16_t>((bits >> 16) | 0x40U)};
  return {static_cast<std::uint16_t>((bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16)};
}

/// IEEE binary16 bits widened exactly.
float half_to_float(std::uint16_t bits);
/// IEEE binary16 bits, round to nearest even; beyond the largest finite half an infinity, NaN stays
/// a NaN.
std::uint16_t to_half(float value);

/// A row-major [rows, cols] matrix in host memory, rows contiguous and packed. Either borrows a
/// file mapping (zero copy) or owns a converted copy; `owner` keeps the bytes alive.
struct HostMatrix {
  DType dtype = DType::kF32;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  const std::byte* data = nullptr;
  std::shared_ptr<const void> owner;
  bool mapped = false;  ///< `data` lies in a file mapping (costs page cache, not private memory)

  std::size_t bytes() const {
    return static_cast<std::size_t>(rows) * static_cast<std::size_t>(cols) * size_of(dtype);
  }
  bool empty() const { return data == nullptr; }
};

/// A linear layer y = x Wᵀ (+ bias) as the checkpoint holds it. int8 weights made by this program lie
/// in [-127, 127]; files of other quantizers may also hold -128, so an integer kernel must be exact for
/// the whole range of int8 on the weight side.
struct LinearWeights {
  HostMatrix weight;          ///< [out, in]; kI8 for a quantized layer, else kBF16 or kF32
  std::vector<float> scale;   ///< [out], only for kI8
  std::vector<float> bias;    ///< [out] or empty
  std::int64_t out() const { return weight.rows; }
  std::int64_t in() const { return weight.cols; }
};

}  // namespace haq
