// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/base/threads.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>
#include <vector>

namespace haq {
namespace {

TEST(ThreadPool, CoversEveryIndexOnce) {
  for (const int threads : {1, 2, 3, 8}) {
    ThreadPool pool(threads);
    for (const std::int64_t count : {0, 1, 2, 7, 64, 1001}) {
      std::vector<std::atomic<int>> seen(static_cast<std::size_t>(count));
      pool.parallel_for(count, 4, [&](std::int64_t begin, std::int64_t end, int) {
        for (auto i = begin; i < end; ++i) ++seen[static_cast<std::size_t>(i)];
      });
      pool.parallel_dynamic(count, [&](std::int64_t i, int) { ++seen[static_cast<std::size_t>(i)]; });
      for (const auto& value : seen) ASSERT_EQ(value, 2) << threads << " threads, " << count;
    }
  }
}

TEST(ThreadPool, RangesAreMultiplesOfTheGrain) {
  ThreadPool pool(3);
  pool.parallel_for(100, 16, [&](std::int64_t begin, std::int64_t end, int) {
    EXPECT_EQ(begin % 16, 0);
    EXPECT_TRUE(end % 16 == 0 || end == 100);
  });
}

TEST(ThreadPool, FreeThreadsTakeOverTheUnitsOfABusyOne) {
  for (const int threads : {2, 3}) {
    ThreadPool pool(threads);
    constexpr int kUnits = 40;
    // Unit 0 keeps its thread until all the others are done, those of its thread's share among them.
    std::atomic<int> others{0};
    bool alone = true;
    pool.parallel_dynamic(kUnits, [&](std::int64_t unit, int) {
      if (unit != 0) {
        ++others;
        return;
      }
      const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
      while (others.load() < kUnits - 1 && std::chrono::steady_clock::now() < deadline) {
        std::this_thread::yield();
      }
      alone = others.load() < kUnits - 1;
    });
    EXPECT_FALSE(alone) << threads << " threads, " << others.load() << " units done by others";
  }
}

TEST(ThreadPool, RethrowsAndStaysUsable) {
  ThreadPool pool(2);
  EXPECT_THROW(pool.parallel_dynamic(10, [](std::int64_t i, int) {
    if (i == 5) throw std::runtime_error("x");
  }), std::runtime_error);
  std::atomic<int> count{0};
  for (int round = 0; round < 1000; ++round) pool.parallel_dynamic(4, [&](std::int64_t, int) { ++count; });
  EXPECT_EQ(count, 4000);
}

}  // namespace
}  // namespace haq
