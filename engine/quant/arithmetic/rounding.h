// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <span>

#include "engine/quant/arithmetic/matrix.h"

namespace haq::quant {

/// Plain rounding of a weight matrix by the numeric contract: scale = max|row| / 127, round half to
/// even, values in [-127, 127]; a row whose maximum is below 2^-100 is zero with scale 1. Throws
/// kNumeric for a non-finite weight.
QuantizedMatrix round_to_nearest(ConstMatrixView weights);
/// The same with given scales [rows] (> 0); values beyond them are clamped to ±127.
QuantizedMatrix round_to_scales(ConstMatrixView weights, std::span<const float> scales);
Matrix dequantize(const QuantizedMatrix& weights);

/// What the integer path sees of activations: every row quantized with its own dynamic scale and
/// widened again, with the bits of the runtime (engine/device/numerics.h). In place. Throws
/// kNumeric for a non-finite value.
void round_activations(Matrix& rows);

/// Errors of y = x wᵀ against ŷ = x̂ ŵᵀ over the given rows, as sums of squares over all outputs.
struct OutputError {
  double error = 0;   ///< sum of (y - ŷ)²
  double signal = 0;  ///< sum of y²
  double relative() const { return signal > 0 ? error / signal : 0; }
  double snr_db() const;  ///< 10 log10(signal / error) within ±300; 300 when there is no error
  void add(const OutputError& other) {
    error += other.error;
    signal += other.signal;
  }
};
/// x, x_hat [n, k]; w, w_hat [m, k].
OutputError output_error(ConstMatrixView x, ConstMatrixView w, ConstMatrixView x_hat,
                         ConstMatrixView w_hat);

}  // namespace haq::quant
