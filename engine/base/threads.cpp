// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/base/threads.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <fstream>
#include <functional>
#include <limits>
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

// Kernels of one token follow each other within some ten microseconds, while waking a sleeping
// thread costs more than that: some 50 us of looking are worth it, and all that an idle pool takes.
constexpr int kSpins = 4000;

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

/// Work is handed out in units. Each thread begins with a share of neighbouring units, which it
/// takes from the front, so that it reads memory as one long stream; a thread without any left
/// takes the last ones of another's share. The caller waits only for units that somebody has begun:
/// a worker that the system does not schedule in time costs nothing but its help.
struct ThreadPool::Impl {
  using Body = std::function<void(std::int64_t unit, int thread)>;

  /// Units [first, end) not yet claimed as end << 32 | first: one word, so that both ends can be
  /// claimed. A cache line each.
  struct alignas(64) Share {
    std::atomic<std::uint64_t> left{0};
  };
  static constexpr std::uint64_t kOneAtEnd = std::uint64_t{1} << 32;
  static constexpr std::int64_t kNone = -1;

  std::vector<Share> shares;
  std::atomic<std::uint64_t> runs{0};  ///< begun so far; what idle workers watch
  std::atomic<std::int64_t> unfinished{0};
  std::atomic<int> sleepers{0};
  std::atomic<bool> caller_sleeps{false};
  std::atomic<bool> stopping{false};
  // Of the present run; read only by a thread that holds a claimed unit, which keeps the run alive.
  const Body* body = nullptr;

  std::mutex mutex;
  std::condition_variable wake, done;
  std::exception_ptr error;
  std::vector<std::thread> workers;

  explicit Impl(int threads) : shares(static_cast<std::size_t>(threads)) {}

  /// Takes a unit of one share: its first for the owner, its last for others; kNone when it is
  /// empty. A word that comes back in a later run names units of that run, so that a late thread
  /// does no harm.
  static std::int64_t claim(Share& share, bool owner) {
    std::uint64_t seen = share.left.load();
    std::uint64_t first = 0, end = 0;
    do {
      first = seen & 0xffffffffU;
      end = seen >> 32;
      if (first >= end) return kNone;
    } while (!share.left.compare_exchange_weak(seen, owner ? seen + 1 : seen - kOneAtEnd));
    return static_cast<std::int64_t>(owner ? first : end - 1);
  }

  /// Takes one unit and computes it; false when none was left.
  bool run_unit(int thread) {
    const auto own = static_cast<std::size_t>(thread);
    std::int64_t unit = claim(shares[own], true);
    for (std::size_t i = 1; unit == kNone && i < shares.size(); ++i) {
      unit = claim(shares[(own + i) % shares.size()], false);
    }
    if (unit == kNone) return false;
    try {
      (*body)(unit, thread);
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
    std::uint64_t seen = 0;
    const auto idle = [&] { return runs.load() == seen && !stopping.load(); };
    while (!stopping.load()) {
      for (int spin = 0; spin < kSpins && idle(); ++spin) pause();
      if (idle()) {
        std::unique_lock lock(mutex);
        sleepers.fetch_add(1);
        wake.wait(lock, [&] { return !idle(); });
        sleepers.fetch_sub(1);
      }
      seen = runs.load();
      while (run_unit(thread)) {
      }
    }
  }

  void run(std::int64_t count, const Body& task) {
    if (count > std::numeric_limits<std::int32_t>::max()) {
      fail(ErrorCode::kInternal, "{} units of parallel work", count);
    }
    body = &task;
    unfinished.store(count);
    const auto threads = static_cast<std::int64_t>(shares.size());
    for (std::int64_t t = 0; t < threads; ++t) {
      const auto first = static_cast<std::uint64_t>(count * t / threads);
      const auto end = static_cast<std::uint64_t>(count * (t + 1) / threads);
      shares[static_cast<std::size_t>(t)].left.store(end << 32 | first);
    }
    runs.fetch_add(1);
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

ThreadPool::ThreadPool(int threads) : size_(threads > 0 ? threads : available_cores()) {
  impl_ = std::make_unique<Impl>(size_);
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
