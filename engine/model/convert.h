// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "engine/base/tensor.h"

/// From bytes in a file to host matrices. Inputs need no alignment.
namespace haq::model {

/// A matrix in memory of its own, 64-byte aligned and not cleared: the caller writes every byte
/// before it hands out `matrix`.
struct OwnedMatrix {
  HostMatrix matrix;
  std::byte* bytes = nullptr;
};
/// Throws kOutOfMemory.
OwnedMatrix allocate_matrix(DType type, std::int64_t rows, std::int64_t cols);

/// A [rows, cols] matrix over `bytes`: borrowed (kept alive by `owner`) when the bytes are aligned
/// for their type, copied otherwise. F16 becomes `f16_target` (kBF16: rounded; kF32: exact), always
/// a copy.
HostMatrix make_matrix(std::span<const std::byte> bytes, DType type, std::int64_t rows,
                       std::int64_t cols, std::shared_ptr<const void> owner, DType f16_target);

/// The transposed columns first, first + step, ... of a [in, columns] matrix: [out, in], out =
/// (columns - first + step - 1) / step. Always a copy.
HostMatrix make_transposed(std::span<const std::byte> bytes, DType type, std::int64_t in,
                           std::int64_t columns, std::int64_t first, std::int64_t step,
                           DType f16_target);

/// F32, F16 or BF16 values widened exactly: elements first, first + step, ...
std::vector<float> widen(std::span<const std::byte> bytes, DType type, std::int64_t first = 0,
                         std::int64_t step = 1);

}  // namespace haq::model
