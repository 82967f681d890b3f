// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/device/host/kv_cache.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "engine/base/error.h"
#include "engine/device/numerics.h"

namespace haq::device::host {

HostKvCache::HostKvCache(const KvLayout& layout) : layout_(layout) {
  if (layout.layers <= 0 || layout.kv_heads <= 0 || layout.k_dim <= 0 || layout.v_dim <= 0 ||
      layout.page_tokens <= 0) {
    fail(ErrorCode::kInternal, "KV layout with a size that is not positive.");
  }
  blocks_per_page_ = (layout.page_tokens + num::kKeyBlock - 1) / num::kKeyBlock;
  const std::size_t element = layout.type == KvType::kBF16 ? 2 : 4;
  block_bytes_ = static_cast<std::size_t>(layout.kv_heads) *
                 static_cast<std::size_t>(layout.k_dim + layout.v_dim) * num::kKeyBlock * element;
  page_bytes_ = block_bytes_ * static_cast<std::size_t>(blocks_per_page_ * layout.layers);
  blocks_.resize(static_cast<std::size_t>(layout.layers));
}

std::int64_t HostKvCache::capacity() const {
  return static_cast<std::int64_t>(pages_.size()) * page_tokens();
}

std::int64_t HostKvCache::page_tokens() const {
  return blocks_per_page_ * num::kKeyBlock;
}

void HostKvCache::reserve(std::int64_t tokens) {
  while (capacity() < tokens) {
    try {
      auto page = allocate_aligned(page_bytes_);
      std::memset(page.get(), 0, page_bytes_);
      std::byte* at = page.get();
      // Space for the pointers first, so that a failure leaves page and table in step.
      pages_.reserve(pages_.size() + 1);
      for (auto& table : blocks_) {
        table.reserve(table.size() + static_cast<std::size_t>(blocks_per_page_));
      }
      pages_.push_back(std::move(page));
      for (auto& table : blocks_) {
        for (std::int64_t b = 0; b < blocks_per_page_; ++b, at += block_bytes_) {
          table.push_back(at);
        }
      }
    } catch (const std::bad_alloc&) {
      fail(ErrorCode::kOutOfMemory,
           "No memory for the keys and values of {} tokens ({} MiB are in use for {} tokens).",
           tokens, bytes() >> 20, capacity());
    }
  }
}

void HostKvCache::set_length(std::int64_t tokens) {
  if (tokens < 0 || tokens > capacity()) {
    fail(ErrorCode::kInternal, "KV length {} outside the reserved {} tokens.", tokens, capacity());
  }
  length_ = tokens;
}

std::int64_t HostKvCache::k_offset(int head) const {
  return static_cast<std::int64_t>(head) * layout_.k_dim * num::kKeyBlock;
}

std::int64_t HostKvCache::v_offset(int head) const {
  return k_offset(layout_.kv_heads) +
         static_cast<std::int64_t>(head) * layout_.v_dim * num::kKeyBlock;
}

void HostKvCache::store(const KernelTable& kernels, int layer, std::int64_t position,
                        const float* k, const float* v) {
  std::byte* block =
      blocks_[static_cast<std::size_t>(layer)][static_cast<std::size_t>(position / num::kKeyBlock)];
  const std::int64_t lane = position % num::kKeyBlock;
  const std::int64_t keys = static_cast<std::int64_t>(layout_.kv_heads) * layout_.k_dim;
  if (layout_.type == KvType::kBF16) {
    auto* base = reinterpret_cast<std::uint16_t*>(block);
    for (std::int64_t i = 0; i < keys; ++i) {
      base[i * num::kKeyBlock + lane] = num::to_bf16_bits(k[i]);
    }
    for (int h = 0; h < layout_.kv_heads; ++h) {
      kernels.round_bf16(v + static_cast<std::int64_t>(h) * layout_.v_dim, layout_.v_dim,
                         base + v_offset(h) + lane * layout_.v_dim);
    }
  } else {
    auto* base = reinterpret_cast<float*>(block);
    for (std::int64_t i = 0; i < keys; ++i) base[i * num::kKeyBlock + lane] = k[i];
    for (int h = 0; h < layout_.kv_heads; ++h) {
      std::copy_n(v + static_cast<std::int64_t>(h) * layout_.v_dim, layout_.v_dim,
                  base + v_offset(h) + lane * layout_.v_dim);
    }
  }
}

}  // namespace haq::device::host
