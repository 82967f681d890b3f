// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

namespace haq {

/// A fixed set of worker threads for the kernels. Workers sleep while idle (a short spin, then a
/// futex wait): a desktop is never idle, and spinning OpenMP-style barriers collapse when another
/// program wants the same cores. The calling thread takes part in the work.
class ThreadPool {
 public:
  /// `threads` counts the caller; 0 means one per physical core available to this process.
  explicit ThreadPool(int threads = 0);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const { return size_; }

  /// Splits [0, count) into one contiguous range per thread, each a multiple of `grain` long (but
  /// the last), and calls body(begin, end, thread_index), where thread_index tells who runs it (for
  /// scratch memory). Blocks until all are done. The split depends only on count, grain and size();
  /// a thread that is late leaves its range to another. Not reentrant: a body must not call the
  /// same pool. An exception from a body is rethrown here (the first one wins).
  void parallel_for(std::int64_t count, std::int64_t grain,
                    const std::function<void(std::int64_t, std::int64_t, int)>& body);

  /// Calls body(index, thread_index) for every index in [0, count). Each thread begins with a run
  /// of neighbouring indices and takes over others' last ones when it is free. For uneven work;
  /// results must not depend on the assignment.
  void parallel_dynamic(std::int64_t count, const std::function<void(std::int64_t, int)>& body);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
  int size_;
};

/// Cores this process may use (affinity mask respected), without SMT siblings where known; >= 1.
int available_cores();

}  // namespace haq
