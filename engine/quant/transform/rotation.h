// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/model/config.h"
#include "engine/quant/arithmetic/hadamard.h"
#include "engine/quant/arithmetic/matrix.h"

namespace haq::quant {

/// One orthogonal matrix on the residual stream, folded into the weights (the first rotation of
/// QuaRot, arXiv 2404.00456, and SpinQuant, arXiv 2405.16406). r' = r Q for every row of the
/// stream.
///
/// RMSNorm models: a Hadamard matrix with random signs where the width is a power of two, else its
/// Kronecker product with a small random orthogonal block. LayerNorm models: a matrix that keeps
/// the all-ones vector and rotates its complement, because the norm subtracts the mean.
class Rotation {
 public:
  /// Why this architecture cannot be rotated exactly (post-norm blocks, projections around the
  /// embedding); empty when it can.
  static std::optional<std::string> obstacle(const model::ModelConfig& config);
  /// Depends on the width, the kind of norm and the seed alone. Throws kUnsupported with the
  /// obstacle. Immutable afterwards and safe to share between threads.
  Rotation(const model::ModelConfig& config, std::uint64_t seed);

  std::uint64_t seed() const { return seed_; }
  const Matrix& matrix() const { return q_; }  ///< Q [hidden, hidden]
  /// w [n, hidden] reads the stream: w Q.
  Matrix rotate_input(ConstMatrixView w) const;
  /// w [hidden, k] writes the stream: Qᵀ w.
  Matrix rotate_output(ConstMatrixView w) const;
  /// A row vector in the stream: v Q.
  std::vector<float> rotate_vector(std::span<const float> v) const;
  /// Back to the source's basis: rows Qᵀ.
  Matrix rotate_back(ConstMatrixView rows) const;

 private:
  std::uint64_t seed_;
  Matrix q_, transposed_;
  std::optional<SignedHadamard> fast_;  ///< the same as q_, where products with it are faster so
};

}  // namespace haq::quant
