// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "engine/device/host/host_device.h"
#include "engine/device/host/scratch.h"

/// oneDNN's matrix products, each run on one thread of our own pool: its OpenMP team would wait for
/// the slowest core at the end of every product, which on a busy machine costs far more than the
/// product.
namespace haq::device::host {

enum class LibraryType { kBf16, kInt8 };

/// C[m, n] = A[m, k] * W[n, k]ᵀ: bf16 x bf16 -> f32, s8 x s8 -> s32. Rows of A are contiguous
/// (bf16) or padded to a multiple of 64 (int8).
struct LibraryShape {
  LibraryType type = LibraryType::kBf16;
  std::int64_t m = 0, n = 0, k = 0;
  bool packed = false;  ///< weights in the library's own layout instead of the checkpoint's
  bool operator==(const LibraryShape&) const = default;
};

/// True where the library's product of this type is exact (int8) and not emulated: CPUs with
/// AVX512-VNNI or AMX for int8 (oneDNN 2.6 saturates elsewhere), AVX-512 for bf16.
bool library_usable(LibraryType type, Isa limit);
/// True where int8 products of many rows run on the library.
bool library_serves_int8(const HostOptions& options);
/// Keeps oneDNN within `limit`; works only before the library's first use in this process. False
/// when it came too late.
bool limit_library(Isa limit);
std::string library_version();
/// Name of the implementation chosen for a shape ("brg:avx512_core_vnni"), empty if it is a
/// reference one.
std::string library_implementation(const LibraryShape& shape);

/// A prepared product. Safe for concurrent use with separate workspaces.
class LibraryProduct {
 public:
  ~LibraryProduct();
  std::size_t workspace_bytes() const;
  std::size_t packed_bytes() const;  ///< of the weights in this product's layout
  void run(const void* a, const void* w, void* c, void* workspace) const;
  /// Rewrites row-major [n, k] weights into the packed layout.
  void pack(const void* w, void* packed) const;

 private:
  friend class LibraryCache;
  struct Impl;
  explicit LibraryProduct(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// Products by shape, made on first use (about 0.2 ms each) and kept. Thread-safe.
class LibraryCache {
 public:
  LibraryCache();
  ~LibraryCache();
  /// Null when the library has only a reference implementation for the shape.
  const LibraryProduct* get(const LibraryShape& shape);
  /// Rows are padded to this many, so that few products serve every row count.
  static std::int64_t padded_rows(std::int64_t rows) { return (rows + 7) / 8 * 8; }

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Weights of one linear layer as slices of columns that fit the second-level cache. Slices are
/// packed on first use while the device's budget lasts; later ones stay in the checkpoint's layout.
struct LibraryWeights {
  struct Slice {
    std::int64_t begin = 0, end = 0;
    std::unique_ptr<std::byte, FreeDeleter> packed;
    std::once_flag once;
  };
  std::vector<Slice> slices;
  LibraryWeights(std::int64_t n, std::int64_t k, std::size_t element_bytes);
};

}  // namespace haq::device::host
