// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>

#include "engine/device/host/kernels.h"

/// The quantizer's own single-threaded inner loops, one table per instruction set. They are written
/// over the host device's sixteen lanes, so all tables give the same bits.
namespace haq::quant {

inline constexpr int kBlockRows = 32;         ///< weight rows that solve_block works on together
inline constexpr int kMaxBlockColumns = 128;  ///< columns of one block

/// One block of columns of kBlockRows weight rows, solved and, beside it, rounded plainly. "Column"
/// arrays hold one value per row in consecutive places; column j begins at j * stride.
struct SolveBlock {
  int columns = 0;
  const float* factor = nullptr;    ///< [columns][kMaxBlockColumns], row j: R_ij / R_jj for i < j
  const float* pivot_sq = nullptr;  ///< [columns] R_jj²
  const float* weights = nullptr;   ///< columns of w
  /// Columns of Σ d_i R_ij / R_jj over all columns i before the block, of the solution and of plain
  /// rounding; d = w - ŵ.
  const float* carried = nullptr;
  const float* carried_plain = nullptr;
  std::int64_t stride = 0;  ///< of weights, carried, carried_plain, d, d_plain
  /// [kBlockRows] scale of a row and the factor its weights are multiplied with (about 1 / scale).
  const float* scale = nullptr;
  const float* inverse = nullptr;
  const float* scale_plain = nullptr;
  const float* inverse_plain = nullptr;

  float* d = nullptr;             ///< columns of w - ŵ; may be `weights`
  float* d_plain = nullptr;       ///< of plain rounding
  std::int8_t* values = nullptr;  ///< columns of the integers of ŵ, column j at j * kBlockRows
  float* objective = nullptr;     ///< [kBlockRows] += Σ_j R_jj² e_j²
  float* distance = nullptr;      ///< [kBlockRows] += Σ_j d_j²
  float* objective_plain = nullptr;
  float* distance_plain = nullptr;
  float* scratch = nullptr;  ///< 2 * kMaxBlockColumns * kBlockRows floats
};

struct RowKernels {
  const char* name;
  /// Quantizes x[i] * factor[i] as the runtime quantizes a row; `product` is scratch [n].
  device::host::QuantizedRow (*quantize_scaled)(const float* x, const float* factor, std::int64_t n,
                                                float* product, std::int8_t* out);
  /// Σ (a - b)², at most a few thousand terms (sixteen float32 sums).
  float (*squared_distance)(const float* a, const float* b, std::int64_t n);
  /// For three scales at once: Σ_j weight_j (x_j - ŷ_j)² with ŷ = scale * clamp(rint(x * inverse)).
  void (*rounding_errors)(const float* x, const float* weight, std::int64_t n, const float* scale,
                          const float* inverse, float* errors);
  void (*solve_block)(const SolveBlock&);
};

/// The best table for this processor.
const RowKernels& row_kernels();

const RowKernels& scalar_row_kernels();
const RowKernels& avx2_row_kernels();
const RowKernels& avx512_row_kernels();

}  // namespace haq::quant
