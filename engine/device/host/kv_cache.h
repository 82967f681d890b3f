// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "engine/device/device.h"
#include "engine/device/host/kernels.h"
#include "engine/device/host/scratch.h"

namespace haq::device::host {

/// Keys and values of one sequence in pages that are never moved. A page holds, for every layer,
/// whole blocks of 64 tokens; a block holds the keys [kv_heads][k_dim][64] (transposed, see
/// kernels_attention.h) and then the values [kv_heads][64][v_dim]. New pages are zeroed: kernels
/// may read, but give no weight to, tokens that are not stored yet.
class HostKvCache final : public KvCache {
 public:
  explicit HostKvCache(const KvLayout& layout);

  std::int64_t length() const override { return length_; }
  void reserve(std::int64_t tokens) override;
  void set_length(std::int64_t tokens) override;
  std::size_t bytes() const override { return pages_.size() * page_bytes_; }

  const KvLayout& layout() const { return layout_; }
  std::int64_t capacity() const;
  std::size_t page_bytes() const { return page_bytes_; }
  std::int64_t page_tokens() const;  ///< by which capacity() grows
  /// Rounds and stores rows [k] and [v] of token `position` (below capacity()).
  void store(const KernelTable& kernels, int layer, std::int64_t position, const float* k,
             const float* v);
  /// Base of every block of a layer, in order.
  const std::byte* const* blocks(int layer) const {
    return blocks_[static_cast<std::size_t>(layer)].data();
  }
  /// Element offset of a head's keys and values within a block.
  std::int64_t k_offset(int head) const;
  std::int64_t v_offset(int head) const;

 private:
  KvLayout layout_;
  std::int64_t blocks_per_page_ = 1;
  std::size_t block_bytes_ = 0, page_bytes_ = 0;
  std::int64_t length_ = 0;
  std::vector<std::unique_ptr<std::byte, FreeDeleter>> pages_;
  std::vector<std::vector<std::byte*>> blocks_;  ///< [layer][block]
};

}  // namespace haq::device::host
