// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/quant/arithmetic/rounding.h"

#include <algorithm>
#include <cmath>

#include "engine/base/error.h"
#include "engine/device/host/cpuid.h"
#include "engine/device/host/kernels.h"
#include "engine/device/numerics.h"
#include "engine/quant/arithmetic/linalg.h"

namespace haq::quant {

namespace num = device::num;

namespace {

/// All tables of kernels give the same bits: the fastest serves.
const device::host::KernelTable& kernels() {
  return device::host::select_kernels(device::Isa::kNative);
}

QuantizedMatrix empty_like(ConstMatrixView weights) {
  QuantizedMatrix result{weights.rows, weights.cols, {}, {}};
  result.values.resize(static_cast<std::size_t>(weights.rows * weights.cols));
  result.scales.resize(static_cast<std::size_t>(weights.rows));
  return result;
}

void check_same_shape(const char* what, ConstMatrixView a, ConstMatrixView b) {
  if (a.rows != b.rows || a.cols != b.cols) {
    fail(ErrorCode::kInternal, "{}: [{}, {}] against [{}, {}]", what, a.rows, a.cols, b.rows,
         b.cols);
  }
}

}  // namespace

QuantizedMatrix round_to_nearest(ConstMatrixView weights) {
  QuantizedMatrix result = empty_like(weights);
  for (std::int64_t r = 0; r < weights.rows; ++r) {
    const device::host::QuantizedRow row = kernels().quantize(
        weights.row(r).data(), weights.cols, result.values.data() + r * weights.cols);
    if (!row.finite) fail(ErrorCode::kNumeric, "weight row {} holds a non-finite value", r);
    result.scales[static_cast<std::size_t>(r)] = row.scale > 0 ? row.scale : 1.0F;
  }
  return result;
}

QuantizedMatrix round_to_scales(ConstMatrixView weights, std::span<const float> scales) {
  if (static_cast<std::int64_t>(scales.size()) != weights.rows) {
    fail(ErrorCode::kInternal, "round_to_scales: {} scales for {} rows", scales.size(),
         weights.rows);
  }
  QuantizedMatrix result = empty_like(weights);
  for (std::int64_t r = 0; r < weights.rows; ++r) {
    const float scale = scales[static_cast<std::size_t>(r)];
    if (!(scale > 0) || !std::isfinite(scale)) {
      fail(ErrorCode::kNumeric, "scale {} of row {} is not a positive finite number", scale, r);
    }
    result.scales[static_cast<std::size_t>(r)] = scale;
    std::int8_t* out = result.values.data() + r * weights.cols;
    for (const float w : weights.row(r)) {
      if (!std::isfinite(w)) {
        fail(ErrorCode::kNumeric, "weight row {} holds a non-finite value", r);
      }
      *out++ = num::quantize(std::clamp(w / scale, -127.0F, 127.0F), 1.0F);
    }
  }
  return result;
}

Matrix dequantize(const QuantizedMatrix& weights) {
  Matrix result(weights.rows, weights.cols);
  for (std::int64_t r = 0; r < weights.rows; ++r) {
    const float scale = weights.scales[static_cast<std::size_t>(r)];
    const std::int8_t* values = weights.values.data() + r * weights.cols;
    for (float& w : result.row(r)) w = static_cast<float>(*values++) * scale;
  }
  return result;
}

void round_activations(Matrix& rows) {
  std::vector<std::int8_t> values(static_cast<std::size_t>(rows.cols));
  for (std::int64_t r = 0; r < rows.rows; ++r) {
    const std::span<float> row = rows.row(r);
    const device::host::QuantizedRow quantized =
        kernels().quantize(row.data(), rows.cols, values.data());
    if (!quantized.finite) {
      fail(ErrorCode::kNumeric, "activation row {} holds a non-finite value", r);
    }
    for (std::size_t i = 0; i < row.size(); ++i) {
      row[i] = static_cast<float>(values[i]) * quantized.scale;
    }
  }
}

double OutputError::snr_db() const {
  constexpr double kLimit = 300;
  if (!(error > 0)) return kLimit;
  return std::clamp(10 * std::log10(signal / error), -kLimit, kLimit);
}

OutputError output_error(ConstMatrixView x, ConstMatrixView w, ConstMatrixView x_hat,
                         ConstMatrixView w_hat) {
  check_same_shape("output_error of inputs", x, x_hat);
  check_same_shape("output_error of weights", w, w_hat);
  constexpr std::int64_t kRows = 256, kOutputs = 512;  // of y at a time
  OutputError result;
  for (std::int64_t r = 0; r < x.rows; r += kRows) {
    const std::int64_t rows = std::min(kRows, x.rows - r);
    for (std::int64_t m = 0; m < w.rows; m += kOutputs) {
      const std::int64_t outputs = std::min(kOutputs, w.rows - m);
      const auto part = [&](ConstMatrixView a, std::int64_t begin, std::int64_t count) {
        return ConstMatrixView{a.data + begin * a.cols, count, a.cols};
      };
      Matrix y(rows, outputs), y_hat(rows, outputs);
      gemm_nt(part(x, r, rows), part(w, m, outputs), 1, 0, y);
      gemm_nt(part(x_hat, r, rows), part(w_hat, m, outputs), 1, 0, y_hat);
      for (std::size_t i = 0; i < y.values.size(); ++i) {
        const double signal = y.values[i];
        const double error = signal - static_cast<double>(y_hat.values[i]);
        result.signal += signal * signal;
        result.error += error * error;
      }
    }
  }
  return result;
}

}  // namespace haq::quant
