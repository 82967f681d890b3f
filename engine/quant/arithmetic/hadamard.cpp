// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/quant/arithmetic/hadamard.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "engine/quant/arithmetic/linalg.h"

namespace haq::quant {
namespace {

/// The top bit of splitmix64's output.
bool random_bit(std::uint64_t seed, std::int64_t index) {
  std::uint64_t value = seed + 0x9e3779b97f4a7c15ULL * (static_cast<std::uint64_t>(index) + 1);
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ULL;
  value = (value ^ (value >> 27)) * 0x94d049bb133111ebULL;
  return ((value ^ (value >> 31)) >> 63) != 0;
}

void butterfly(float* low, float* high, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) {
    const float a = low[i];
    const float b = high[i];
    low[i] = a + b;
    high[i] = a - b;
  }
}

}  // namespace

SignedHadamard::SignedHadamard(std::int64_t n, std::uint64_t seed)
    : power_(std::int64_t{1} << std::countr_zero(static_cast<std::uint64_t>(n))),
      block_(1, 1),
      signs_(static_cast<std::size_t>(n)) {
  block_.values = {1.0F};
  if (n > power_) block_ = random_orthogonal(n / power_, seed);
  const auto unit = static_cast<float>(1.0 / std::sqrt(static_cast<double>(power_)));
  for (std::int64_t i = 0; i < n; ++i) {
    signs_[static_cast<std::size_t>(i)] = random_bit(seed, i) ? -unit : unit;
  }
}

Matrix SignedHadamard::dense() const {
  const std::int64_t m = block_.rows;
  Matrix q(width(), width());
  for (std::int64_t row = 0; row < q.rows; ++row) {
    const std::span<const float> block_row = block_.row(row % m);
    const std::span<float> out = q.row(row);
    for (std::int64_t column = 0; column < q.cols; ++column) {
      const auto both = static_cast<std::uint64_t>((row / m) & (column / m));
      const float value =
          signs_[static_cast<std::size_t>(row)] * block_row[static_cast<std::size_t>(column % m)];
      out[static_cast<std::size_t>(column)] = std::popcount(both) % 2 != 0 ? -value : value;
    }
  }
  return q;
}

/// `values`: n rows of `width` floats, `stride` apart. Row d of each block of m := Σ_b R[b][d] row
/// b.
void SignedHadamard::apply_block(float* values, std::int64_t stride, std::int64_t width,
                                 std::vector<float>& scratch) const {
  const std::int64_t m = block_.rows;
  if (m == 1) return;
  scratch.resize(static_cast<std::size_t>(m * width));
  for (std::int64_t a = 0; a < power_; ++a) {
    float* block = values + a * m * stride;
    std::fill(scratch.begin(), scratch.end(), 0.0F);
    for (std::int64_t b = 0; b < m; ++b) {
      for (std::int64_t d = 0; d < m; ++d) {
        const float weight = block_.values[static_cast<std::size_t>(b * m + d)];
        float* out = scratch.data() + d * width;
        for (std::int64_t i = 0; i < width; ++i) out[i] += weight * block[b * stride + i];
      }
    }
    for (std::int64_t d = 0; d < m; ++d) {
      std::copy_n(scratch.data() + d * width, width, block + d * stride);
    }
  }
}

/// The fast Walsh-Hadamard transform over the blocks.
void SignedHadamard::butterflies(float* values, std::int64_t stride, std::int64_t width) const {
  const std::int64_t rows = power_ * block_.rows;
  for (std::int64_t half = block_.rows; half < rows; half *= 2) {
    for (std::int64_t first = 0; first < rows; first += 2 * half) {
      for (std::int64_t row = first; row < first + half; ++row) {
        butterfly(values + row * stride, values + (row + half) * stride, width);
      }
    }
  }
}

void SignedHadamard::transposed_times(Matrix& columns) const {
  // A strip of columns stays in the cache through all passes.
  constexpr std::int64_t kStrip = 32;
  std::vector<float> scratch;
  for (std::int64_t row = 0; row < columns.rows; ++row) {
    for (float& value : columns.row(row)) value *= signs_[static_cast<std::size_t>(row)];
  }
  for (std::int64_t first = 0; first < columns.cols; first += kStrip) {
    const std::int64_t count = std::min(kStrip, columns.cols - first);
    apply_block(columns.data() + first, columns.cols, count, scratch);
    butterflies(columns.data() + first, columns.cols, count);
  }
}

void SignedHadamard::times(Matrix& rows) const {
  // Rows are transformed in bundles, transposed, so that neighbours in memory are independent.
  constexpr std::int64_t kBundle = 16;
  const std::int64_t n = width();
  std::vector<float> bundle(static_cast<std::size_t>(n * kBundle));
  std::vector<float> scratch;
  for (std::int64_t first = 0; first < rows.rows; first += kBundle) {
    const std::int64_t count = std::min(kBundle, rows.rows - first);
    for (std::int64_t i = 0; i < n; ++i) {
      for (std::int64_t row = 0; row < count; ++row) {
        bundle[static_cast<std::size_t>(i * kBundle + row)] =
            rows.values[static_cast<std::size_t>((first + row) * n + i)] *
            signs_[static_cast<std::size_t>(i)];
      }
    }
    apply_block(bundle.data(), kBundle, kBundle, scratch);
    butterflies(bundle.data(), kBundle, kBundle);
    for (std::int64_t row = 0; row < count; ++row) {
      for (std::int64_t i = 0; i < n; ++i) {
        rows.values[static_cast<std::size_t>((first + row) * n + i)] =
            bundle[static_cast<std::size_t>(i * kBundle + row)];
      }
    }
  }
}

}  // namespace haq::quant
