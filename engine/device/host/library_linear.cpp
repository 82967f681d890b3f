// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/device/host/library_linear.h"

#include <unistd.h>

#include <new>

namespace haq::device::host {

Int8GemmArgs int8_args(const HostLinear& linear, const RowBlock& x, std::int64_t n_begin,
                       std::int64_t n_end, float* out, std::int64_t out_stride) {
  Int8GemmArgs a;
  a.x = x.int8;
  a.x_stride = x.int8_stride;
  a.x_scale = x.scale;
  a.x_sum = x.sum;
  a.m = x.rows;
  a.w = reinterpret_cast<const std::int8_t*>(linear.data());
  a.k = linear.in();
  a.n_begin = n_begin;
  a.n_end = n_end;
  a.w_scale = linear.scale();
  a.bias = linear.bias();
  a.out = out - n_begin;
  a.out_stride = out_stride;
  return a;
}

std::size_t BlockProducts::budget() const {
  if (pack_budget_ != SIZE_MAX) return pack_budget_;
  // Copies that push the mapped checkpoint out of memory would cost far more than they save.
  const std::size_t physical = static_cast<std::size_t>(sysconf(_SC_PHYS_PAGES)) *
                               static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  const std::size_t share = physical / 10 * 6, weights = weights_.load(std::memory_order_relaxed);
  return share > weights ? share - weights : 0;
}

bool BlockProducts::take_budget(std::size_t bytes) {
  const std::size_t limit = budget();
  std::size_t used = packed_.load(std::memory_order_relaxed);
  do {
    if (used > limit || bytes > limit - used) return false;
  } while (!packed_.compare_exchange_weak(used, used + bytes, std::memory_order_relaxed));
  return true;
}

const std::byte* BlockProducts::packed_slice(const HostLinear& linear, LibraryWeights::Slice& slice,
                                             const LibraryProduct& product) {
  std::call_once(slice.once, [&] {
    const std::size_t bytes = product.packed_bytes();
    if (!take_budget(bytes)) return;
    try {
      auto memory = allocate_aligned(bytes);
      product.pack(linear.data() + static_cast<std::size_t>(slice.begin) * linear.row_bytes(),
                   memory.get());
      linear.add_packed_bytes(bytes);
      slice.packed = std::move(memory);
    } catch (const std::bad_alloc&) {
      packed_.fetch_sub(bytes, std::memory_order_relaxed);  // the unpacked path serves
    }
  });
  return slice.packed.get();
}

void BlockProducts::run(const HostLinear& linear, std::size_t slice_index, const RowBlock& x,
                        float* out, std::int64_t out_stride, BlockScratch& scratch) {
  LibraryWeights::Slice& slice = linear.library().slices[slice_index];
  const std::int64_t width = slice.end - slice.begin;
  const bool int8 = linear.path() == LinearPath::kInt8;
  const float* bias = linear.bias();
  if (x.rows >= kLibraryMinRows && uses_library(linear.path())) {
    LibraryShape shape{int8 ? LibraryType::kInt8 : LibraryType::kBf16,
                       LibraryCache::padded_rows(x.rows), width, linear.in(), true};
    const LibraryProduct* product = pack_budget_ > 0 ? cache_.get(shape) : nullptr;
    const std::byte* weights = product != nullptr ? packed_slice(linear, slice, *product) : nullptr;
    if (weights == nullptr) {
      shape.packed = false;
      product = cache_.get(shape);
      weights = linear.data() + static_cast<std::size_t>(slice.begin) * linear.row_bytes();
    }
    if (product != nullptr) {
      auto* c = scratch.product.get<std::int32_t>(static_cast<std::size_t>(shape.m * width));
      product->run(int8 ? static_cast<const void*>(x.int8) : x.bf16, weights, c,
                   scratch.workspace.get<std::byte>(product->workspace_bytes()));
      for (std::int64_t r = 0; r < x.rows; ++r) {
        float* y = out + r * out_stride;
        if (int8) {
          kernels_.dequantize(c + r * width, x.scale[r], linear.scale() + slice.begin,
                              bias != nullptr ? bias + slice.begin : nullptr, width, y);
        } else {
          kernels_.add_bias(reinterpret_cast<const float*>(c) + r * width,
                            bias != nullptr ? bias + slice.begin : nullptr, width, y);
        }
      }
      return;
    }
  }
  if (int8) {
    Int8GemmArgs a = int8_args(linear, x, slice.begin, slice.end, out, out_stride);
    a.scratch = scratch.for_int8(x.rows);
    int8_.gemm(a);
    return;
  }
  auto* wide = scratch.widened.get<float>(static_cast<std::size_t>(x.rows * x.cols));
  kernels_.widen_bf16(x.bf16, x.rows * x.cols, 1.0F, wide);
  GemmArgs a;
  a.x = wide;
  a.x_stride = x.cols;
  a.m = x.rows;
  a.w = linear.data();
  a.k = linear.in();
  a.n_begin = slice.begin;
  a.n_end = slice.end;
  a.bias = bias;
  a.out = out - slice.begin;
  a.out_stride = out_stride;
  kernels_.gemm_bf16(a);
}

}  // namespace haq::device::host
