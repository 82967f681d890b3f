// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace haq::quant {

/// A view of row-major float32 values, rows packed.
struct ConstMatrixView {
  const float* data = nullptr;
  std::int64_t rows = 0, cols = 0;
  std::span<const float> row(std::int64_t r) const {
    return {data + r * cols, static_cast<std::size_t>(cols)};
  }
};

/// A row-major [rows, cols] float32 matrix in memory of its own.
struct Matrix {
  std::int64_t rows = 0, cols = 0;
  std::vector<float> values;

  Matrix() = default;
  Matrix(std::int64_t r, std::int64_t c)
      : rows(r), cols(c), values(static_cast<std::size_t>(r) * static_cast<std::size_t>(c)) {}
  float* data() { return values.data(); }
  const float* data() const { return values.data(); }
  std::span<float> row(std::int64_t r) {
    return {values.data() + r * cols, static_cast<std::size_t>(cols)};
  }
  std::span<const float> row(std::int64_t r) const {
    return {values.data() + r * cols, static_cast<std::size_t>(cols)};
  }
  ConstMatrixView view() const { return {values.data(), rows, cols}; }
  operator ConstMatrixView() const { return view(); }  // NOLINT: a matrix is a view of itself
};

/// int8 weights with one scale per output row, as the numeric contract stores them: values in
/// [-127, 127], w ~ value * scale.
struct QuantizedMatrix {
  std::int64_t rows = 0, cols = 0;
  std::vector<std::int8_t> values;
  std::vector<float> scales;  ///< [rows]; 1 for a row of zeros
};

}  // namespace haq::quant
