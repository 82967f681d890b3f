// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "engine/nn/decoder.h"

namespace haq::nn {

/// A Sequence of one decoder: its key-value cache, the planned length, and for longrope models what
/// is needed to rotate the cached keys anew.
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

  /// Longrope: the tokens in the cache, and the variant their keys were rotated with (none: mixed,
  /// after a recomputation that did not finish). Other models leave both empty.
  std::span<const std::int32_t> ids() const { return ids_; }
  std::optional<bool> long_rotation() const { return long_rotation_; }
  void set_long_rotation(std::optional<bool> value) { long_rotation_ = value; }
  void reserve_ids(std::int64_t count) { ids_.reserve(static_cast<std::size_t>(count)); }
  /// Does not throw within what reserve_ids() has made room for.
  void remember(std::span<const std::int32_t> ids) {
    ids_.insert(ids_.end(), ids.begin(), ids.end());
  }

 private:
  std::shared_ptr<device::Device> device_;  // outlives the cache
  std::unique_ptr<device::KvCache> cache_;
  const void* owner_;
  std::int64_t planned_length_ = 0;
  std::vector<std::int32_t> ids_;
  std::optional<bool> long_rotation_;
};

}  // namespace haq::nn
