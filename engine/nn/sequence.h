// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>

#include "engine/nn/decoder.h"

namespace haq::nn {

/// A Sequence of one decoder: its key-value cache and the planned length.
class CachedSequence final : public Sequence {
 public:
  /// `owner` identifies the decoder; a sequence cannot move to another one.
  CachedSequence(std::shared_ptr<device::Device> device, const device::KvLayout& layout,
                 const void* owner);

  std::int64_t length() const override { return cache_->length(); }
  void truncate(std::int64_t tokens) override;
  std::size_t kv_bytes() const override { return cache_->bytes(); }
  void set_planned_length(std::int64_t tokens) override { planned_length_ = tokens; }

  device::KvCache& cache() { return *cache_; }
  const void* owner() const { return owner_; }
  /// Length that decides the rotation when the sequence grows to `end` tokens.
  std::int64_t rotation_length(std::int64_t end) const { return std::max(end, planned_length_); }

 private:
  std::shared_ptr<device::Device> device_;  // outlives the cache
  std::unique_ptr<device::KvCache> cache_;
  const void* owner_;
  std::int64_t planned_length_ = 0;
};

}  // namespace haq::nn
