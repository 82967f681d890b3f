// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>

namespace haq::device::emulated {

/// One thread that runs tasks in the order in which they were submitted. It sleeps while there are
/// none: the cores belong to the lane that computes.
class WorkQueue {
 public:
  WorkQueue();
  /// Drops the tasks that have not begun.
  ~WorkQueue();
  WorkQueue(const WorkQueue&) = delete;
  WorkQueue& operator=(const WorkQueue&) = delete;

  void submit(std::function<void()> task);
  /// True when every task has ended and none has failed since the last wait().
  bool idle() const;
  /// Waits for all tasks. Rethrows the first failure since the last call; the tasks behind it have
  /// not run.
  void wait();
  /// Waits for all tasks and keeps a failure for wait().
  void drain() noexcept;

 private:
  void work();

  mutable std::mutex mutex_;
  std::condition_variable wake_, done_;
  std::deque<std::function<void()>> tasks_;
  bool busy_ = false, stopping_ = false;
  std::exception_ptr error_;
  std::thread thread_;
};

}  // namespace haq::device::emulated
