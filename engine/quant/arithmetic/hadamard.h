// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/quant/arithmetic/matrix.h"

namespace haq::quant {

/// The orthogonal matrix Q = D (H ⊗ R) / √p of width n = p m, p the largest power of two in n:
/// random signs D, Sylvester's Hadamard matrix H[a][c] = (-1)^popcount(a & c) of size p, and a
/// random orthogonal R for the odd part m. Products with it take n (m + log2 p) operations per row
/// instead of n². Immutable, safe to share between threads.
class SignedHadamard {
 public:
  SignedHadamard(std::int64_t n, std::uint64_t seed);

  std::int64_t width() const { return power_ * block_.rows; }
  /// True when the products below are faster than dense ones (measured: from p = 16).
  bool is_fast() const { return power_ >= 16; }
  Matrix dense() const;
  void times(Matrix& rows) const;                ///< rows [k, n] := rows Q
  void transposed_times(Matrix& columns) const;  ///< columns [n, k] := Qᵀ columns

 private:
  void apply_block(float* values, std::int64_t stride, std::int64_t width,
                   std::vector<float>& scratch) const;
  void butterflies(float* values, std::int64_t stride, std::int64_t width) const;

  std::int64_t power_ = 1;
  Matrix block_;              ///< R [m, m]
  std::vector<float> signs_;  ///< of D, over √p
};

}  // namespace haq::quant
