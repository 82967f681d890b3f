// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/quant/layers/input_statistics.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <random>
#include <set>

#include "engine/base/error.h"
#include "engine/quant/arithmetic/linalg.h"

namespace haq::quant {
namespace {

constexpr std::int64_t kBlock = 512;  ///< rows per update of the Hessian
constexpr std::int64_t kPanel = 256;  ///< channels per unit of parallel work
constexpr std::int64_t kTurned = 16;  ///< channels transposed together

}  // namespace

void InputStatistics::divide(std::span<const float> factor) {
  const auto channels = static_cast<std::int64_t>(factor.size());
  for (std::int64_t j = 0; j < channels; ++j) {
    channel_max[static_cast<std::size_t>(j)] /= factor[static_cast<std::size_t>(j)];
  }
  const auto divide_rows = [&](Matrix& matrix) {
    for (std::int64_t r = 0; r < matrix.rows; ++r) {
      const std::span<float> row = matrix.row(r);
      for (std::size_t j = 0; j < row.size(); ++j) row[j] /= factor[j];
    }
  };
  divide_rows(sample);
  if (hessian.rows == 0) return;
  divide_rows(hessian);
  for (std::int64_t r = 0; r < hessian.rows; ++r) {
    for (float& value : hessian.row(r)) value /= factor[static_cast<std::size_t>(r)];
  }
}

std::vector<std::int64_t> sample_rows(std::int64_t total, std::int64_t count, std::uint64_t seed) {
  std::vector<std::int64_t> rows;
  if (total <= count) {
    for (std::int64_t row = 0; row < total; ++row) rows.push_back(row);
    return rows;
  }
  // Floyd's algorithm (J. Bentley, B. Floyd, CACM 30, 1987). The engine's own output is used, not a
  // distribution of the library, whose results may differ between implementations.
  std::mt19937_64 random(seed);
  std::set<std::int64_t> chosen;
  for (std::int64_t last = total - count; last < total; ++last) {
    const auto candidate =
        static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(last + 1));
    chosen.insert(chosen.count(candidate) == 0 ? candidate : last);
  }
  rows.assign(chosen.begin(), chosen.end());
  return rows;
}

InputObserver::InputObserver(std::int64_t channels, std::int64_t total_rows,
                             std::span<const std::int64_t> sampled, bool with_hessian,
                             ThreadPool& pool)
    : pool_(pool),
      channels_(channels),
      total_(total_rows),
      sampled_(sampled),
      with_hessian_(with_hessian),
      block_(std::min(kBlock, total_rows), channels) {
  statistics_.channel_max.resize(static_cast<std::size_t>(channels));
  statistics_.sample = Matrix(static_cast<std::int64_t>(sampled.size()), channels);
  if (!with_hessian) return;
  turned_.resize(block_.values.size());
  for (std::int64_t begin = 0; begin < channels; begin += kPanel) {
    panels_.emplace_back(std::min(kPanel, channels - begin), channels - begin);
  }
}

void InputObserver::add(const float* rows, std::int64_t count, std::int64_t stride) {
  for (std::int64_t r = 0; r < count; ++r) {
    const float* from = rows + r * stride;
    std::memcpy(block_.row(filled_).data(), from,
                static_cast<std::size_t>(channels_) * sizeof(float));
    if (next_sample_ < sampled_.size() && sampled_[next_sample_] == first_row_ + filled_) {
      std::memcpy(statistics_.sample.row(static_cast<std::int64_t>(next_sample_)).data(), from,
                  static_cast<std::size_t>(channels_) * sizeof(float));
      ++next_sample_;
    }
    if (++filled_ == block_.rows) flush();
  }
}

void InputObserver::flush() {
  if (filled_ == 0) return;
  add_block(filled_);
  first_row_ += filled_;
  filled_ = 0;
}

void InputObserver::add_block(std::int64_t rows) {
  const auto panels = (channels_ + kPanel - 1) / kPanel;
  pool_.parallel_dynamic(panels, [&](std::int64_t panel, int) {
    const std::int64_t begin = panel * kPanel, end = std::min(begin + kPanel, channels_);
    for (std::int64_t first = begin; first < end; first += kTurned) {
      turn(rows, first, std::min(first + kTurned, end));
    }
  });
  if (!with_hessian_) return;
  const float factor = 2.0F / static_cast<float>(total_);
  pool_.parallel_dynamic(panels, [&](std::int64_t panel, int) {
    const std::int64_t begin = panel * kPanel;
    Matrix& sum = panels_[static_cast<std::size_t>(panel)];
    const float* from = turned_.data() + begin * rows;
    gemm_nt({from, sum.rows, rows}, {from, sum.cols, rows}, factor, 1, sum);
  });
}

void InputObserver::turn(std::int64_t rows, std::int64_t begin, std::int64_t end) {
  const auto count = static_cast<std::size_t>(end - begin);
  std::array<float, kTurned> most{};
  float* to = with_hessian_ ? turned_.data() + begin * rows : nullptr;
  for (std::int64_t r = 0; r < rows; ++r) {
    const float* from = block_.row(r).data() + begin;
    for (std::size_t j = 0; j < count; ++j) most[j] = std::max(most[j], std::abs(from[j]));
    if (to == nullptr) continue;
    for (std::size_t j = 0; j < count; ++j) to[static_cast<std::int64_t>(j) * rows + r] = from[j];
  }
  for (std::size_t j = 0; j < count; ++j) {
    float& all = statistics_.channel_max[static_cast<std::size_t>(begin) + j];
    all = std::max(all, most[j]);
  }
}

InputStatistics InputObserver::finish() {
  flush();
  if (first_row_ != total_) {
    fail(ErrorCode::kInternal, "statistics of {} rows, {} expected", first_row_, total_);
  }
  statistics_.tokens = total_;
  if (with_hessian_) {
    Matrix hessian(channels_, channels_);
    for (std::size_t panel = 0; panel < panels_.size(); ++panel) {
      const std::int64_t begin = static_cast<std::int64_t>(panel) * kPanel;
      Matrix& part = panels_[panel];
      for (std::int64_t r = 0; r < part.rows; ++r) {
        std::copy(part.row(r).begin(), part.row(r).end(), hessian.row(begin + r).begin() + begin);
      }
      part = Matrix();
    }
    symmetrize(hessian);
    statistics_.hessian = std::move(hessian);
  }
  return std::move(statistics_);
}

}  // namespace haq::quant
