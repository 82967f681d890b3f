// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <type_traits>

namespace haq {

/// A bounded ring between one producing and one consuming thread. push() never waits: when the ring
/// is full the value is dropped and counted. Capacity is rounded up to a power of two.
template <class T>
class SpscRing {  // NOLINT(clang-analyzer-optin.performance.Padding): a cache line for each thread
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  explicit SpscRing(std::size_t capacity)
      : mask_(std::bit_ceil(capacity < 2 ? std::size_t{2} : capacity) - 1),
        values_(std::make_unique<T[]>(mask_ + 1)) {}

  std::size_t capacity() const { return mask_ + 1; }

  /// Producer only. False: dropped.
  bool push(const T& value) {
    return push_with([&value](T& slot) { slot = value; });
  }

  /// Producer only: push() without a copy. fill(T&) writes the value where it will lie; the place
  /// holds an older value. Not called when the ring is full. False: dropped.
  template <class Fill>
  bool push_with(Fill&& fill) {
    const std::uint64_t head = head_.load(std::memory_order_relaxed);
    if (head - seen_tail_ > mask_) {
      seen_tail_ = tail_.load(std::memory_order_acquire);
      if (head - seen_tail_ > mask_) {
        // The producer alone writes it: no atomic addition, so that a full ring costs no more.
        dropped_.store(dropped_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
        return false;
      }
    }
    fill(values_[head & mask_]);
    head_.store(head + 1, std::memory_order_release);
    return true;
  }

  /// Consumer only: moves at most out.size() values, oldest first; returns how many.
  std::size_t pop(std::span<T> out) {
    const std::uint64_t tail = tail_.load(std::memory_order_relaxed);
    const std::uint64_t head = head_.load(std::memory_order_acquire);
    std::size_t count = static_cast<std::size_t>(head - tail);
    if (count > out.size()) count = out.size();
    for (std::size_t i = 0; i < count; ++i) out[i] = values_[(tail + i) & mask_];
    tail_.store(tail + count, std::memory_order_release);
    return count;
  }

  /// Any thread.
  std::uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }
  /// Any thread; a moment's figure, exact on either end while the other end rests.
  std::size_t size() const {
    // The tail first: read after the head it could have passed it, and the difference would wrap.
    const std::uint64_t tail = tail_.load(std::memory_order_acquire);
    const auto count = static_cast<std::size_t>(head_.load(std::memory_order_acquire) - tail);
    return count < capacity() ? count : capacity();
  }

 private:
  const std::size_t mask_;
  std::unique_ptr<T[]> values_;
  alignas(64) std::atomic<std::uint64_t> head_{0};
  std::uint64_t seen_tail_ = 0;  // the producer's copy, so that it rarely touches the other line
  std::atomic<std::uint64_t> dropped_{0};
  alignas(64) std::atomic<std::uint64_t> tail_{0};
};

}  // namespace haq
