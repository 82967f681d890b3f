// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/device/emulated/link.h"

#include <algorithm>
#include <utility>

namespace haq::device::emulated {

Link::Link(const Options& options) : options_(options), thread_([this] { work(); }) {}

Link::~Link() {
  std::deque<Ordered> dropped;
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    dropped.swap(copies_);
  }
  wake_.notify_all();
  thread_.join();
}

void Link::count(const Copy& copy, int sign) {
  counts_.copies += sign;
  counts_.bytes += sign * static_cast<std::int64_t>(copy.bytes);
}

void Link::submit(Copy copy) {
  {
    std::lock_guard lock(mutex_);
    count(copy, 1);
    copies_.push_back({std::move(copy), Clock::now()});
  }
  wake_.notify_all();
}

void Link::cancel(const void* owner) {
  std::deque<Ordered> dropped;  // freed without the lock
  std::unique_lock lock(mutex_);
  std::deque<Ordered> kept;
  for (Ordered& ordered : copies_) {
    const bool drop = ordered.copy.owner == owner;
    if (drop) count(ordered.copy, -1);
    (drop ? dropped : kept).push_back(std::move(ordered));
  }
  copies_.swap(kept);
  cancelled_ = owner;
  wake_.notify_all();
  done_.wait(lock, [&] { return !busy_ || current_ != owner; });
  cancelled_ = nullptr;
}

LinkCounts Link::counts() const {
  std::lock_guard lock(mutex_);
  LinkCounts counts = counts_;
  counts.busy_us = static_cast<double>(counts.copies) * options_.latency_us +
                   static_cast<double>(counts.bytes) / (options_.gb_s * 1e3);
  return counts;
}

void Link::work() {
  // When the link is free again in modelled time. Late wake-ups do not add up: a copy that waited
  // in line starts where the one before it ended on paper.
  Clock::time_point free_at = Clock::now();
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [&] { return stopping_ || !copies_.empty(); });
    if (stopping_) return;
    Ordered ordered = std::move(copies_.front());
    copies_.pop_front();
    busy_ = true;
    current_ = ordered.copy.owner;
    lock.unlock();
    ordered.copy.move();
    lock.lock();
    if (options_.paced) {
      free_at = std::max(free_at, ordered.time) +
                std::chrono::duration_cast<Clock::duration>(
                    std::chrono::duration<double, std::micro>(modelled_us(ordered.copy.bytes)));
      wake_.wait_until(lock, free_at, [&] { return stopping_ || cancelled_ == current_; });
    }
    lock.unlock();
    ordered.copy.arrive();
    ordered = {};
    lock.lock();
    busy_ = false;
    done_.notify_all();
  }
}

}  // namespace haq::device::emulated
