// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/base/threads.h"
#include "engine/quant/arithmetic/matrix.h"

namespace haq::quant {

/// Most sampled rows of an input that every token passes, and of an expert's.
inline constexpr std::int64_t kSharedSampleRows = 512;
inline constexpr std::int64_t kExpertSampleRows = 128;

/// What calibration tells of the input of one or more linear layers.
struct InputStatistics {
  std::int64_t tokens = 0;
  std::vector<float> channel_max;  ///< max|x| per channel
  Matrix hessian;                  ///< (2/n) Σ x xᵀ, symmetric; empty when not wanted
  Matrix sample;                   ///< some of the rows

  /// As if every row had been divided by `factor` [channels].
  void divide(std::span<const float> factor);
};

/// `count` of the numbers 0 ... total - 1 in ascending order, or all when there are fewer; depends
/// on the arguments alone.
std::vector<std::int64_t> sample_rows(std::int64_t total, std::int64_t count, std::uint64_t seed);

/// Gathers statistics of rows that come in order, in pieces of any size: sums run over fixed
/// blocks, so the result depends on the rows alone, not on the pieces or the thread count.
class InputObserver {
 public:
  /// `sampled`: ascending row numbers to keep.
  InputObserver(std::int64_t channels, std::int64_t total_rows,
                std::span<const std::int64_t> sampled, bool with_hessian, ThreadPool& pool);
  /// The next rows, in host memory.
  void add(const float* rows, std::int64_t count, std::int64_t stride);
  /// After the last row.
  InputStatistics finish();

 private:
  void flush();
  void add_block(std::int64_t rows);
  /// Maxima and transposed values of channels [begin, end) of the block.
  void turn(std::int64_t rows, std::int64_t begin, std::int64_t end);

  ThreadPool& pool_;
  std::int64_t channels_, total_;
  std::span<const std::int64_t> sampled_;
  bool with_hessian_;
  InputStatistics statistics_;
  std::int64_t first_row_ = 0;  ///< of the block
  std::int64_t filled_ = 0;
  std::size_t next_sample_ = 0;
  Matrix block_;                ///< [kBlock, channels]
  std::vector<float> turned_;   ///< [channels, rows of the block]
  std::vector<Matrix> panels_;  ///< panel p: rows from p * kPanel of the Hessian's upper triangle
};

}  // namespace haq::quant
