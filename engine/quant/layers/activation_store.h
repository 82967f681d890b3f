// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

namespace haq::quant {

/// Rows of float32 values [rows, cols], in memory or, when they exceed a budget, in a nameless
/// temporary file that is mapped: the system then keeps in memory what fits. Zero at first.
/// Different rows may be read and written by different threads.
class ActivationStore {
 public:
  /// Throws kNoSpace when the disk of `spill_folder` cannot hold the file, kIo, kOutOfMemory.
  ActivationStore(std::int64_t rows, std::int64_t cols, std::size_t budget,
                  const std::filesystem::path& spill_folder);
  ~ActivationStore();
  ActivationStore(const ActivationStore&) = delete;
  ActivationStore& operator=(const ActivationStore&) = delete;

  std::int64_t rows() const { return rows_; }
  std::int64_t cols() const { return cols_; }
  bool spilled() const { return spilled_; }
  float* row(std::int64_t r) { return data_ + r * cols_; }
  const float* row(std::int64_t r) const { return data_ + r * cols_; }
  /// Tells that these rows are not needed soon: of a spilled store they leave the memory.
  void release(std::int64_t first, std::int64_t count) const;

 private:
  std::int64_t rows_, cols_;
  std::size_t bytes_ = 0;
  bool spilled_ = false;
  float* data_ = nullptr;
};

}  // namespace haq::quant
