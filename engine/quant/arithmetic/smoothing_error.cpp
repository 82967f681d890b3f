// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/quant/arithmetic/smoothing_error.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "engine/base/error.h"
#include "engine/device/host/cpuid.h"
#include "engine/device/host/kernels.h"
#include "engine/quant/arithmetic/linalg.h"
#include "engine/quant/arithmetic/row_kernels.h"

namespace haq::quant {
namespace {

constexpr std::int64_t kTileOutputs = 128;       ///< weight rows quantized together
constexpr std::int64_t kReferenceOutputs = 512;  ///< of one product of exact values
constexpr std::size_t kReferenceBudget = std::size_t{64} << 20;

std::size_t index(std::int64_t value) {
  return static_cast<std::size_t>(value);
}

/// The integer kernels read rows in steps of up to 64 bytes.
std::int64_t padded(std::int64_t channels) {
  return (channels + 63) / 64 * 64;
}

/// Memory of one thread.
struct Scratch {
  std::vector<std::int8_t> x, w;
  std::vector<float> x_scale, w_scale, row, product, out;
  std::vector<std::int32_t> x_sum;
};

struct Scale {
  std::vector<float> s, inverse;  ///< [channels]
};

/// Exact outputs of a reader, cut into tiles of kReferenceOutputs columns.
struct Reference {
  std::vector<Matrix> tiles;  ///< [rows, outputs of the tile]
  std::vector<double> signal;
};

/// Readers of one sample: it is quantized once for all of them.
struct Unit {
  std::size_t first = 0, count = 0;
};

void quantize_sample(ConstMatrixView rows, const std::vector<float>& inverse, Scratch& scratch) {
  const std::int64_t stride = padded(rows.cols);
  scratch.x.assign(index(rows.rows * stride), 0);
  scratch.x_scale.resize(index(rows.rows));
  scratch.x_sum.resize(index(rows.rows));
  scratch.row.resize(index(rows.cols));
  const device::host::KernelTable& kernels = device::host::select_kernels(device::Isa::kNative);
  for (std::int64_t r = 0; r < rows.rows; ++r) {
    const float* x = rows.row(r).data();
    for (std::size_t j = 0; j < inverse.size(); ++j) scratch.row[j] = x[j] * inverse[j];
    const device::host::QuantizedRow row =
        kernels.quantize(scratch.row.data(), rows.cols, scratch.x.data() + r * stride);
    if (!row.finite) fail(ErrorCode::kNumeric, "a sampled activation is not finite");
    scratch.x_scale[index(r)] = row.scale;
    scratch.x_sum[index(r)] = row.sum;
  }
}

void compute_tile(const SmoothingReader& reader, std::size_t tile, Reference& reference) {
  const std::int64_t first = static_cast<std::int64_t>(tile) * kReferenceOutputs;
  const ConstMatrixView& w = reader.weights;
  const std::int64_t outputs = std::min(kReferenceOutputs, w.rows - first);
  Matrix& y = reference.tiles[tile];
  y = Matrix(reader.rows.rows, outputs);
  gemm_nt(reader.rows, {w.data + first * w.cols, outputs, w.cols}, 1, 0, y);
  for (const float v : y.values) reference.signal[tile] += static_cast<double>(v) * v;
}

/// ‖reference - Q(x/s) Q(W s)ᵀ‖² with Q(x/s) in `scratch`.
double reader_error(const SmoothingReader& reader, const Reference& reference,
                    const std::vector<float>& s, Scratch& scratch) {
  const ConstMatrixView& w = reader.weights;
  const std::int64_t rows = reader.rows.rows;
  scratch.w.resize(index(kTileOutputs * w.cols));
  scratch.w_scale.resize(index(kTileOutputs));
  scratch.product.resize(index(w.cols));
  scratch.out.resize(index(rows * kTileOutputs));
  const RowKernels& kernels = row_kernels();
  const device::host::Int8Table& products = device::host::select_int8(device::Isa::kNative);

  double error = 0;
  for (std::int64_t n = 0; n < w.rows; n += kTileOutputs) {
    const std::int64_t outputs = std::min(kTileOutputs, w.rows - n);
    for (std::int64_t i = 0; i < outputs; ++i) {
      const device::host::QuantizedRow row =
          kernels.quantize_scaled(w.row(n + i).data(), s.data(), w.cols, scratch.product.data(),
                                  scratch.w.data() + i * w.cols);
      if (!row.finite) fail(ErrorCode::kNumeric, "a weight is not finite");
      scratch.w_scale[index(i)] = row.scale;
    }
    device::host::Int8GemmArgs args;
    args.x = scratch.x.data();
    args.x_stride = padded(w.cols);
    args.x_scale = scratch.x_scale.data();
    args.x_sum = scratch.x_sum.data();
    args.m = rows;
    args.w = scratch.w.data();
    args.k = w.cols;
    args.n_end = outputs;
    args.w_scale = scratch.w_scale.data();
    args.out = scratch.out.data();
    args.out_stride = kTileOutputs;
    products.gemm(args);
    const Matrix& exact = reference.tiles[index(n / kReferenceOutputs)];
    const std::int64_t column = n % kReferenceOutputs;
    for (std::int64_t r = 0; r < rows; ++r) {
      error += kernels.squared_distance(exact.row(r).data() + column,
                                        scratch.out.data() + r * kTileOutputs, outputs);
    }
  }
  return error;
}

/// As many readers from `first` on as have references within the budget, at least one.
std::size_t batch_end(std::span<const SmoothingReader> readers, std::size_t first) {
  std::size_t bytes = 0, end = first;
  while (end < readers.size()) {
    bytes += index(readers[end].rows.rows * readers[end].weights.rows) * sizeof(float);
    if (end > first && bytes > kReferenceBudget) break;
    ++end;
  }
  return end;
}

std::vector<Unit> shared_samples(std::span<const SmoothingReader> readers, std::size_t first,
                                 std::size_t end) {
  std::vector<Unit> units;
  for (std::size_t i = first; i < end; ++i) {
    const bool same = i > first && readers[i].rows.data == readers[i - 1].rows.data &&
                      readers[i].rows.rows == readers[i - 1].rows.rows;
    if (same) {
      ++units.back().count;
    } else {
      units.push_back({i, 1});
    }
  }
  return units;
}

}  // namespace

SmoothingErrors smoothing_errors(std::span<const SmoothingReader> readers,
                                 std::span<const std::vector<float>> scales, ThreadPool& pool,
                                 const CancelToken& cancel) {
  std::vector<Scale> candidates;
  for (const std::vector<float>& s : scales) {
    Scale scale{s, s};
    for (float& v : scale.inverse) v = 1.0F / v;
    candidates.push_back(std::move(scale));
  }
  std::vector<double> signals(readers.size());
  std::vector<std::vector<double>> errors(scales.size(), std::vector<double>(readers.size()));
  std::vector<Scratch> scratch(index(pool.size()));

  for (std::size_t first = 0; first < readers.size();) {
    const std::size_t end = batch_end(readers, first);
    std::vector<Reference> references(end - first);
    std::vector<std::pair<std::size_t, std::size_t>> tiles;  // reader of the batch, tile
    for (std::size_t i = 0; i < references.size(); ++i) {
      const std::int64_t outputs = readers[first + i].weights.rows;
      const std::size_t count = index((outputs + kReferenceOutputs - 1) / kReferenceOutputs);
      references[i] = {std::vector<Matrix>(count), std::vector<double>(count)};
      for (std::size_t tile = 0; tile < count; ++tile) tiles.emplace_back(i, tile);
    }
    pool.parallel_dynamic(static_cast<std::int64_t>(tiles.size()), [&](std::int64_t task, int) {
      cancel.check();
      const auto [i, tile] = tiles[index(task)];
      compute_tile(readers[first + i], tile, references[i]);
    });
    for (std::size_t i = 0; i < references.size(); ++i) {
      for (const double signal : references[i].signal) signals[first + i] += signal;
    }
    // One sample and one scale at a time; units differ in size, so they are handed out singly.
    const std::vector<Unit> units = shared_samples(readers, first, end);
    const auto tasks = static_cast<std::int64_t>(units.size() * candidates.size());
    pool.parallel_dynamic(tasks, [&](std::int64_t task, int thread) {
      const Unit& unit = units[index(task) / candidates.size()];
      const std::size_t candidate = index(task) % candidates.size();
      const Scale& scale = candidates[candidate];
      Scratch& own = scratch[index(thread)];
      cancel.check();
      quantize_sample(readers[unit.first].rows, scale.inverse, own);
      for (std::size_t i = unit.first; i < unit.first + unit.count; ++i) {
        cancel.check();
        errors[candidate][i] = reader_error(readers[i], references[i - first], scale.s, own);
      }
    });
    first = end;
  }

  SmoothingErrors result;
  result.errors.resize(scales.size());
  for (std::size_t i = 0; i < readers.size(); ++i) {
    result.signal += readers[i].weight * signals[i];
    for (std::size_t c = 0; c < scales.size(); ++c) {
      result.errors[c] += readers[i].weight * errors[c][i];
    }
  }
  return result;
}

}  // namespace haq::quant
