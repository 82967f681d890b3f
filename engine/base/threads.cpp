// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/base/threads.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <fstream>
#include <functional>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "engine/base/error.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace haq {
namespace {

void pause() {
#if defined(__x86_64__)
  _mm_pause();
#else
  std::this_thread::yield();
#endif
}

// Kernels of one token follow each other within a few microseconds; a sleep costs about ten.
constexpr int kSpins = 2000;

}  // namespace

int available_cores() {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  if (sched_getaffinity(0, sizeof(mask), &mask) != 0) {
    return std::max(1U, std::thread::hardware_concurrency());
  }
  std::set<std::pair<std::string, std::string>> cores;
  int logical = 0;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &mask)) continue;
    ++logical;
    const std::string base = "/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/";
    std::string package, core;
    std::ifstream(base + "physical_package_id") >> package;
    std::ifstream(base + "core_id") >> core;
    if (core.empty()) core = "cpu" + std::to_string(cpu);
    cores.emplace(package, core);
  }
  return std::max(1, std::min<int>(logical, static_cast<int>(cores.size())));
}

/// Work is handed out in units, and the caller waits only for units that somebody has begun: a
/// worker that the system does not schedule in time costs nothing but its help, because the caller
/// takes its units as well.
struct ThreadPool::Impl {
  using Body = std::function<void(std::int64_t unit, int thread)>;
  static constexpr std::uint64_t kUnclaimed = 0xffffffffU;

  /// Run number << 32 | units not yet claimed. Both in one word, so that a late worker can claim
  /// from the present run only.
  std::atomic<std::uint64_t> tickets{0};
  std::atomic<std::int64_t> unfinished{0};
  std::atomic<int> sleepers{0};
  std::atomic<bool> caller_sleeps{false};
  std::atomic<bool> stopping{false};
  // Of the present run; read only by a thread that holds a claimed unit, which keeps the run alive.
  const Body* body = nullptr;
  std::int64_t units = 0;

  std::mutex mutex;
  std::condition_variable wake, done;
  std::exception_ptr error;
  std::vector<std::thread> workers;

  bool work_left() const { return (tickets.load() & kUnclaimed) != 0; }

  /// Takes one unit and computes it; false when none was left.
  bool run_unit(int thread) {
    std::uint64_t seen = tickets.load();
    do {
      if ((seen & kUnclaimed) == 0) return false;
    } while (!tickets.compare_exchange_weak(seen, seen - 1));
    try {
      (*body)(units - static_cast<std::int64_t>(seen & kUnclaimed), thread);
    } catch (...) {
      std::lock_guard lock(mutex);
      if (!error) error = std::current_exception();
    }
    if (unfinished.fetch_sub(1) == 1 && caller_sleeps.load()) {
      std::lock_guard lock(mutex);
      done.notify_one();
    }
    return true;
  }

  void work(int thread) {
    while (!stopping.load()) {
      for (int spin = 0; spin < kSpins && !work_left(); ++spin) pause();
      while (run_unit(thread)) {
      }
      std::unique_lock lock(mutex);
      sleepers.fetch_add(1);
      wake.wait(lock, [&] { return work_left() || stopping.load(); });
      sleepers.fetch_sub(1);
    }
  }

  void run(std::int64_t count, const Body& task) {
    if (count > static_cast<std::int64_t>(kUnclaimed)) {
      fail(ErrorCode::kInternal, "{} units of parallel work", count);
    }
    body = &task;
    units = count;
    unfinished.store(count);
    const std::uint64_t number = (tickets.load() >> 32) + 1;
    tickets.store((number << 32) | static_cast<std::uint64_t>(count));
    if (sleepers.load() > 0) {
      std::lock_guard lock(mutex);
      wake.notify_all();
    }
    while (run_unit(0)) {
    }
    wait_for_begun_units();
    std::lock_guard lock(mutex);
    if (error) std::rethrow_exception(std::exchange(error, nullptr));
  }

  void wait_for_begun_units() {
    for (int spin = 0; spin < kSpins && unfinished.load() != 0; ++spin) pause();
    if (unfinished.load() == 0) return;
    std::unique_lock lock(mutex);
    caller_sleeps.store(true);
    done.wait(lock, [&] { return unfinished.load() == 0; });
    caller_sleeps.store(false);
  }
};

ThreadPool::ThreadPool(int threads)
    : impl_(std::make_unique<Impl>()), size_(threads > 0 ? threads : available_cores()) {
  for (int index = 1; index < size_; ++index) {
    impl_->workers.emplace_back([this, index] { impl_->work(index); });
  }
}

ThreadPool::~ThreadPool() {
  {
    std::lock_guard lock(impl_->mutex);
    impl_->stopping.store(true);
  }
  impl_->wake.notify_all();
  for (auto& worker : impl_->workers) worker.join();
}

void ThreadPool::parallel_for(std::int64_t count, std::int64_t grain,
                              const std::function<void(std::int64_t, std::int64_t, int)>& body) {
  if (count <= 0) return;
  grain = std::max<std::int64_t>(grain, 1);
  const std::int64_t pieces = (count + grain - 1) / grain;
  const std::int64_t ranges = std::min<std::int64_t>(pieces, size_);
  if (ranges == 1) {
    body(0, count, 0);
    return;
  }
  const auto range = [&](std::int64_t index, int thread) {
    const std::int64_t begin = pieces * index / ranges * grain;
    const std::int64_t end = std::min(count, pieces * (index + 1) / ranges * grain);
    body(begin, end, thread);
  };
  impl_->run(ranges, std::ref(range));
}

void ThreadPool::parallel_dynamic(std::int64_t count,
                                  const std::function<void(std::int64_t, int)>& body) {
  if (count <= 0) return;
  if (size_ == 1 || count == 1) {
    for (std::int64_t index = 0; index < count; ++index) body(index, 0);
    return;
  }
  impl_->run(count, body);
}

}  // namespace haq
