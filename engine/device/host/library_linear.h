// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "engine/device/host/host_linear.h"
#include "engine/device/host/kernels.h"
#include "engine/device/host/onednn.h"
#include "engine/device/host/scratch.h"

namespace haq::device::host {

/// A few rows (at most kLibraryRows) converted for a layer: bf16 or int8 by the layer's path. The
/// memory reaches over LibraryCache::padded_rows(rows) rows.
struct RowBlock {
  std::int64_t rows = 0, cols = 0;
  const std::uint16_t* bf16 = nullptr;  ///< stride cols
  const std::int8_t* int8 = nullptr;
  std::int64_t int8_stride = 0;
  const float* scale = nullptr;
  const std::int32_t* sum = nullptr;
};

/// The product of rows of `x` with columns [n_begin, n_end) by our own kernels: column n of row r
/// goes to out[r * out_stride + n - n_begin]. The caller adds scratch and what else it knows.
Int8GemmArgs int8_args(const HostLinear& linear, const RowBlock& x, std::int64_t n_begin,
                       std::int64_t n_end, float* out, std::int64_t out_stride);

/// Fewer rows than this run on our own kernels: they read each weight once and need no packing.
inline constexpr std::int64_t kLibraryMinRows = 8;
/// Rows of one library call.
inline constexpr std::int64_t kLibraryRows = 128;

/// Memory of one thread for BlockProducts.
struct BlockScratch {
  Scratch product, workspace, widened, int8;
  std::byte* for_int8(std::int64_t rows) { return int8.get<std::byte>(int8_scratch_bytes(rows)); }
};

/// Single-threaded products of row blocks with slices of a layer's columns: by the library where it
/// has a fast implementation, else by our own kernels. int8 products run on the library where it
/// has AMX: our own kernels for AVX512-VNNI are as fast as the library's, and faster with the
/// epilogue; they need no packed copies either.
class BlockProducts {
 public:
  BlockProducts(const KernelTable& kernels, const Int8Table& int8, const HostOptions& options)
      : kernels_(kernels),
        int8_(int8),
        bf16_usable_(library_usable(LibraryType::kBf16, options.max_isa)),
        int8_usable_(library_serves_int8(options)),
        pack_budget_(options.pack_budget_bytes) {}

  bool uses_library(LinearPath path) const {
    return (path == LinearPath::kLibrary16 && bf16_usable_) ||
           (path == LinearPath::kInt8 && int8_usable_);
  }
  /// out[r, n - slice.begin] for the columns of one slice. `linear` is on a library path.
  void run(const HostLinear& linear, std::size_t slice, const RowBlock& x, float* out,
           std::int64_t out_stride, BlockScratch& scratch);
  std::size_t packed_bytes() const { return packed_.load(std::memory_order_relaxed); }
  /// Tells of weights that a layer reads; the automatic budget leaves room for them.
  void add_weights(std::size_t bytes) { weights_.fetch_add(bytes, std::memory_order_relaxed); }

 private:
  const std::byte* packed_slice(const HostLinear& linear, LibraryWeights::Slice& slice,
                                const LibraryProduct& product);
  bool take_budget(std::size_t bytes);
  std::size_t budget() const;

  const KernelTable& kernels_;
  const Int8Table& int8_;
  bool bf16_usable_, int8_usable_;
  std::size_t pack_budget_;
  std::atomic<std::size_t> packed_{0}, weights_{0};
  LibraryCache cache_;
};

}  // namespace haq::device::host
