// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/session/bench_kernels.h"

#include <algorithm>
#include <chrono>
#include <cmath>

namespace haq::session {

namespace {

constexpr std::size_t kBeyondCaches = std::size_t{128} << 20;
constexpr std::size_t kMaxCopies = 64;
constexpr int kPasses = 5;

LinearWeights random_weights(device::LinearPath path, std::int64_t n, std::int64_t k,
                             std::uint64_t seed) {
  LinearWeights weights;
  HostMatrix& matrix = weights.weight;
  matrix.dtype = path == device::LinearPath::kInt8 ? DType::kI8 : DType::kBF16;
  matrix.rows = n;
  matrix.cols = k;
  auto bytes = std::make_shared<std::vector<std::byte>>(matrix.bytes());
  std::uint64_t state = seed;
  const auto next = [&state] {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    return static_cast<std::int32_t>(state >> 33) % 127;
  };
  for (std::size_t i = 0; i < static_cast<std::size_t>(n * k); ++i) {
    const std::int32_t value = next();
    if (matrix.dtype == DType::kI8) {
      (*bytes)[i] = static_cast<std::byte>(static_cast<std::int8_t>(value));
    } else {
      const BFloat16 rounded = to_bf16(static_cast<float>(value) / 1024);
      std::memcpy(bytes->data() + 2 * i, &rounded.bits, 2);
    }
  }
  matrix.data = bytes->data();
  matrix.owner = bytes;
  if (matrix.dtype == DType::kI8) weights.scale.assign(static_cast<std::size_t>(n), 0.001F);
  return weights;
}

/// Rows in device memory, filled with a simple pattern.
class DeviceRows {
 public:
  DeviceRows(device::Device& device, std::int64_t rows, std::int64_t cols)
      : buffer_(device.allocate(static_cast<std::size_t>(rows * cols) * sizeof(float))) {
    std::vector<float> values(static_cast<std::size_t>(rows * cols));
    for (std::size_t i = 0; i < values.size(); ++i) {
      values[i] = static_cast<float>(static_cast<int>(i * 37 % 101) - 50) / 50;
    }
    device.copy_to_device(buffer_->data(), values.data(), values.size() * sizeof(float));
    view_ = {static_cast<float*>(buffer_->data()), rows, cols, cols};
  }
  device::Rows view() const { return view_; }

 private:
  std::unique_ptr<device::Buffer> buffer_;
  device::Rows view_;
};

/// Best seconds of one product, over passes through all copies.
double best_seconds(device::Device& device,
                    const std::vector<std::shared_ptr<const device::Linear>>& copies,
                    std::int64_t rows) {
  const DeviceRows x(device, rows, copies[0]->in());
  const DeviceRows y(device, rows, copies[0]->out());
  // Enough products per pass to be timed; many rows need fewer, they do more work each.
  const std::size_t products = rows == 1 ? copies.size() : std::min<std::size_t>(copies.size(), 4);
  double best = INFINITY;
  for (int pass = 0; pass <= kPasses; ++pass) {
    const auto start = std::chrono::steady_clock::now();
    for (std::size_t i = 0; i < products; ++i) {
      const device::Device::LinearCall call{copies[i].get(), y.view()};
      device.linear(x.view(), std::span(&call, 1));
    }
    device.synchronize();
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    if (pass > 0) best = std::min(best, took.count() / static_cast<double>(products));
  }
  return best;
}

}  // namespace

std::vector<RooflineRow> linear_kernel_rows(device::Device& device, device::LinearPath path,
                                            const GemmShape& shape, const MachinePeaks& peaks) {
  const std::size_t bytes =
      static_cast<std::size_t>(shape.n * shape.k) * (path == device::LinearPath::kInt8 ? 1 : 2);
  const std::size_t wanted = std::clamp<std::size_t>(kBeyondCaches / bytes, 1, kMaxCopies);
  std::vector<std::shared_ptr<const device::Linear>> copies;
  for (std::size_t i = 0; i < wanted; ++i) {
    copies.push_back(
        device.prepare(random_weights(path, shape.n, shape.k, i + 1), path, "benchmark weights"));
  }
  std::vector<RooflineRow> rows;
  const auto add = [&](std::string kernel, const char* unit, double reached, double peak) {
    if (peak > 0) rows.push_back({std::move(kernel), unit, reached, peak, reached / peak});
  };
  const double one_row = best_seconds(device, copies, 1);
  add(fmt::format("linear 1x{}x{} ({})", shape.n, shape.k, shape.name), "GB/s",
      static_cast<double>(copies[0]->weight_bytes()) / one_row / 1e9, peaks.read_gb_per_s);
  if (const double peak = peaks.gemm_gops(shape); peak > 0) {
    const double seconds = best_seconds(device, copies, shape.m);
    add(fmt::format("linear {}x{}x{} ({})", shape.m, shape.n, shape.k, shape.name), "GOPS",
        shape.operations() / static_cast<double>(shape.count) / seconds / 1e9, peak);
  }
  return rows;
}

}  // namespace haq::session
