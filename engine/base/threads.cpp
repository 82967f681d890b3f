// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/base/threads.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <fstream>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

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

struct ThreadPool::Impl {
  std::mutex mutex;
  std::condition_variable wake;
  std::condition_variable done;
  std::atomic<std::uint64_t> generation{0};
  std::atomic<int> pending{0};
  std::atomic<bool> stopping{false};
  const std::function<void(int)>* task = nullptr;
  std::exception_ptr error;
  std::vector<std::thread> workers;

  void run_task(int index) {
    try {
      (*task)(index);
    } catch (...) {
      std::lock_guard lock(mutex);
      if (!error) error = std::current_exception();
    }
  }

  void work(int index) {
    std::uint64_t seen = 0;
    for (;;) {
      for (int spin = 0; spin < kSpins && generation.load(std::memory_order_acquire) == seen; ++spin) {
        pause();
      }
      if (generation.load(std::memory_order_acquire) == seen) {
        std::unique_lock lock(mutex);
        wake.wait(lock, [&] { return generation.load(std::memory_order_acquire) != seen; });
      }
      seen = generation.load(std::memory_order_acquire);
      if (stopping.load()) return;
      run_task(index);
      if (pending.fetch_sub(1, std::memory_order_acq_rel) == 1) {
        std::lock_guard lock(mutex);
        done.notify_one();
      }
    }
  }

  void run(const std::function<void(int)>& body) {
    task = &body;
    {
      std::lock_guard lock(mutex);
      error = nullptr;
      pending.store(static_cast<int>(workers.size()), std::memory_order_relaxed);
      generation.fetch_add(1, std::memory_order_release);
    }
    wake.notify_all();
    run_task(0);
    for (int spin = 0; spin < kSpins && pending.load(std::memory_order_acquire) != 0; ++spin) pause();
    if (pending.load(std::memory_order_acquire) != 0) {
      std::unique_lock lock(mutex);
      done.wait(lock, [&] { return pending.load(std::memory_order_acquire) == 0; });
    }
    std::exception_ptr thrown;
    {
      std::lock_guard lock(mutex);
      thrown = std::exchange(error, nullptr);
    }
    if (thrown) std::rethrow_exception(thrown);
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
    impl_->generation.fetch_add(1, std::memory_order_release);
  }
  impl_->wake.notify_all();
  for (auto& worker : impl_->workers) worker.join();
}

void ThreadPool::parallel_for(
    std::int64_t count, std::int64_t grain,
    const std::function<void(std::int64_t, std::int64_t, int)>& body) {
  if (count <= 0) return;
  grain = std::max<std::int64_t>(grain, 1);
  const std::int64_t pieces = (count + grain - 1) / grain;
  if (size_ == 1 || pieces == 1) {
    body(0, count, 0);
    return;
  }
  const std::function<void(int)> share = [&](int index) {
    const std::int64_t begin = pieces * index / size_ * grain;
    const std::int64_t end = std::min(count, pieces * (index + 1) / size_ * grain);
    if (begin < end) body(begin, end, index);
  };
  impl_->run(share);
}

void ThreadPool::parallel_dynamic(std::int64_t count,
                                  const std::function<void(std::int64_t, int)>& body) {
  if (count <= 0) return;
  if (size_ == 1 || count == 1) {
    for (std::int64_t index = 0; index < count; ++index) body(index, 0);
    return;
  }
  std::atomic<std::int64_t> next{0};
  const std::function<void(int)> share = [&](int thread) {
    for (std::int64_t index; (index = next.fetch_add(1, std::memory_order_relaxed)) < count;) {
      body(index, thread);
    }
  };
  impl_->run(share);
}

}  // namespace haq
