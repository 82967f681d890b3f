// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

#include "engine/device/slots.h"

namespace haq::device::emulated {

/// The link of an emulated device: copies one after the other on a thread of its own, each of which
/// takes its modelled time (latency + bytes / speed) or longer. Thread-safe.
class Link {
 public:
  struct Options {
    double gb_s = 25, latency_us = 10;
    bool paced = true;  ///< false: a copy takes what it takes on the host
  };
  explicit Link(const Options& options);
  /// Drops the copies that have not begun.
  ~Link();
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  struct Copy {
    const void* owner = nullptr;
    std::size_t bytes = 0;
    std::function<void()> move;    ///< must not throw
    std::function<void()> arrive;  ///< called when the modelled time has passed; must not throw
  };
  void submit(Copy copy);
  /// Drops the owner's copies and waits for one that has begun (its pacing is cut short).
  void cancel(const void* owner);
  /// Of the copies that were ordered and not dropped.
  LinkCounts counts() const;
  double modelled_us(std::size_t bytes) const {
    return options_.latency_us + static_cast<double>(bytes) / (options_.gb_s * 1e3);
  }

 private:
  using Clock = std::chrono::steady_clock;
  struct Ordered {
    Copy copy;
    Clock::time_point time;
  };
  void work();
  void count(const Copy& copy, int sign);

  const Options options_;
  mutable std::mutex mutex_;
  std::condition_variable wake_, done_;
  std::deque<Ordered> copies_;
  const void* current_ = nullptr;    ///< owner of the copy under way
  const void* cancelled_ = nullptr;  ///< owner that no longer waits for the pacing
  bool busy_ = false, stopping_ = false;
  LinkCounts counts_;
  std::thread thread_;
};

}  // namespace haq::device::emulated
