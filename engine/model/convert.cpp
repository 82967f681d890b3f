// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/model/convert.h"

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <new>

#include "engine/base/error.h"

namespace haq::model {
namespace {

template <typename T>
T load(const std::byte* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

/// All 65536 half values; a table look-up is several times faster than converting bit by bit.
template <typename T, typename Convert>
const std::array<T, 65536>& half_table(Convert convert) {
  static const std::array<T, 65536> kTable = [&] {
    std::array<T, 65536> table{};
    for (std::uint32_t bits = 0; bits < table.size(); ++bits) {
      table[bits] = convert(half_to_float(static_cast<std::uint16_t>(bits)));
    }
    return table;
  }();
  return kTable;
}

const std::array<std::uint16_t, 65536>& half_to_bf16_table() {
  return half_table<std::uint16_t>([](float value) { return to_bf16(value).bits; });
}

const std::array<float, 65536>& half_to_float_table() {
  return half_table<float>([](float value) { return value; });
}

HostMatrix convert_half(std::span<const std::byte> bytes, std::int64_t rows, std::int64_t cols,
                        DType target) {
  OwnedMatrix copy = allocate_matrix(target, rows, cols);
  const std::size_t count = bytes.size() / 2;
  if (target == DType::kF32) {
    const auto& table = half_to_float_table();
    auto* out = reinterpret_cast<float*>(copy.bytes);
    for (std::size_t i = 0; i < count; ++i) {
      out[i] = table[load<std::uint16_t>(bytes.data() + 2 * i)];
    }
  } else {
    const auto& table = half_to_bf16_table();
    auto* out = reinterpret_cast<std::uint16_t*>(copy.bytes);
    for (std::size_t i = 0; i < count; ++i) {
      out[i] = table[load<std::uint16_t>(bytes.data() + 2 * i)];
    }
  }
  return copy.matrix;
}

template <typename T>
HostMatrix transpose(std::span<const std::byte> bytes, DType type, std::int64_t in,
                     std::int64_t columns, std::int64_t first, std::int64_t step) {
  const std::int64_t out = (columns - first + step - 1) / step;
  OwnedMatrix copy = allocate_matrix(type, out, in);
  auto* target = reinterpret_cast<T*>(copy.bytes);
  constexpr std::int64_t kBlock =
      64;  // a block of source rows and target rows stays in the L1 cache
  for (std::int64_t block = 0; block < in; block += kBlock) {
    const std::int64_t end = std::min(block + kBlock, in);
    for (std::int64_t row = 0; row < out; ++row) {
      const std::int64_t column = first + row * step;
      for (std::int64_t i = block; i < end; ++i) {
        target[row * in + i] =
            load<T>(bytes.data() + static_cast<std::size_t>(i * columns + column) * sizeof(T));
      }
    }
  }
  return copy.matrix;
}

}  // namespace

OwnedMatrix allocate_matrix(DType type, std::int64_t rows, std::int64_t cols) {
  OwnedMatrix owned;
  owned.matrix.dtype = type;
  owned.matrix.rows = rows;
  owned.matrix.cols = cols;
  // Big matrices ask for huge pages: filling fresh memory is then several times faster, and reading
  // it later costs fewer address translations.
  constexpr std::size_t kHugePage = std::size_t{2} << 20;
  const std::size_t size = std::max<std::size_t>(owned.matrix.bytes(), 1);
  const std::align_val_t alignment{size >= kHugePage ? kHugePage : 64};
  void* memory = ::operator new(size, alignment, std::nothrow);
  if (memory == nullptr) {
    fail(ErrorCode::kOutOfMemory, "no memory for a weight matrix of {} x {} ({} bytes)", rows, cols,
         size);
  }
  if (size >= kHugePage) (void)::madvise(memory, size / kHugePage * kHugePage, MADV_HUGEPAGE);
  owned.matrix.owner = std::shared_ptr<void>(
      memory, [alignment](void* address) { ::operator delete(address, alignment); });
  owned.bytes = static_cast<std::byte*>(memory);
  owned.matrix.data = owned.bytes;
  return owned;
}

HostMatrix make_matrix(std::span<const std::byte> bytes, DType type, std::int64_t rows,
                       std::int64_t cols, std::shared_ptr<const void> owner, DType f16_target) {
  if (type == DType::kF16) return convert_half(bytes, rows, cols, f16_target);
  if (reinterpret_cast<std::uintptr_t>(bytes.data()) % size_of(type) != 0) {
    OwnedMatrix copy = allocate_matrix(type, rows, cols);
    std::memcpy(copy.bytes, bytes.data(), bytes.size());
    return copy.matrix;
  }
  HostMatrix matrix;
  matrix.dtype = type;
  matrix.rows = rows;
  matrix.cols = cols;
  matrix.data = bytes.data();
  matrix.owner = std::move(owner);
  matrix.mapped = true;
  return matrix;
}

HostMatrix make_transposed(std::span<const std::byte> bytes, DType type, std::int64_t in,
                           std::int64_t columns, std::int64_t first, std::int64_t step,
                           DType f16_target) {
  if (type == DType::kF32) {
    return transpose<std::uint32_t>(bytes, type, in, columns, first, step);
  }
  HostMatrix matrix = transpose<std::uint16_t>(bytes, type, in, columns, first, step);
  if (type != DType::kF16) return matrix;
  return convert_half({matrix.data, matrix.bytes()}, matrix.rows, matrix.cols, f16_target);
}

std::vector<float> widen(std::span<const std::byte> bytes, DType type, std::int64_t first,
                         std::int64_t step) {
  const std::size_t size = size_of(type);
  const auto count = static_cast<std::int64_t>(bytes.size() / size);
  std::vector<float> values;
  values.reserve(static_cast<std::size_t>((count - first + step - 1) / step));
  for (std::int64_t i = first; i < count; i += step) {
    const std::byte* at = bytes.data() + static_cast<std::size_t>(i) * size;
    switch (type) {
      case DType::kF32:
        values.push_back(load<float>(at));
        break;
      case DType::kF16:
        values.push_back(half_to_float(load<std::uint16_t>(at)));
        break;
      case DType::kBF16:
        values.push_back(to_float(BFloat16{load<std::uint16_t>(at)}));
        break;
      case DType::kI8:
        fail(ErrorCode::kInternal, "int8 values cannot be widened without a scale");
    }
  }
  return values;
}

}  // namespace haq::model
