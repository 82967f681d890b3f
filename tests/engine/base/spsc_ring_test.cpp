// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/base/spsc_ring.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

namespace haq {
namespace {

std::vector<int> pop_all(SpscRing<int>& ring, std::size_t most) {
  std::vector<int> values(most);
  values.resize(ring.pop(values));
  return values;
}

TEST(SpscRing, RoundsItsCapacityUpToAPowerOfTwo) {
  EXPECT_EQ(SpscRing<int>(0).capacity(), 2U);
  EXPECT_EQ(SpscRing<int>(1).capacity(), 2U);
  EXPECT_EQ(SpscRing<int>(2).capacity(), 2U);
  EXPECT_EQ(SpscRing<int>(5).capacity(), 8U);
  EXPECT_EQ(SpscRing<int>(1 << 10).capacity(), 1024U);
}

TEST(SpscRing, KeepsTheOrderOverManyWraps) {
  SpscRing<int> ring(8);
  int next = 0, expected = 0;
  for (int round = 0; round < 1000; ++round) {
    for (int i = 0; i < round % 9; ++i) ASSERT_TRUE(ring.push(next++));
    ASSERT_EQ(ring.size(), static_cast<std::size_t>(round % 9));
    for (const int value : pop_all(ring, 3)) ASSERT_EQ(value, expected++);
    for (const int value : pop_all(ring, 100)) ASSERT_EQ(value, expected++);
  }
  EXPECT_EQ(next, expected);
  EXPECT_EQ(ring.dropped(), 0U);
  EXPECT_TRUE(pop_all(ring, 8).empty());
}

TEST(SpscRing, DropsWhatDoesNotFitAndCountsIt) {
  SpscRing<int> ring(4);
  for (int i = 0; i < 7; ++i) EXPECT_EQ(ring.push(i), i < 4);
  EXPECT_EQ(ring.dropped(), 3U);
  EXPECT_EQ(pop_all(ring, 2), (std::vector<int>{0, 1}));
  EXPECT_TRUE(ring.push(7));
  EXPECT_TRUE(ring.push(8));
  EXPECT_FALSE(ring.push(9));
  EXPECT_EQ(pop_all(ring, 9), (std::vector<int>{2, 3, 7, 8}));
  EXPECT_EQ(ring.dropped(), 4U);
}

TEST(SpscRing, FillsInPlaceOnlyWhenThereIsRoom) {
  SpscRing<int> ring(2);
  int calls = 0;
  for (int i = 0; i < 3; ++i) {
    ring.push_with([&](int& slot) {
      slot = 10 + i;
      ++calls;
    });
  }
  EXPECT_EQ(calls, 2);
  EXPECT_EQ(pop_all(ring, 4), (std::vector<int>{10, 11}));
}

// A value that shows when it was read half-written.
struct Wide {
  std::array<std::uint64_t, 8> copies;
};

TEST(SpscRing, TwoThreadsLoseNothingButWhatIsCounted) {
  constexpr std::uint64_t kValues = 200'000;
  SpscRing<Wide> ring(64);
  std::atomic<bool> done{false};
  std::thread producer([&] {
    for (std::uint64_t value = 1; value <= kValues; ++value) {
      Wide wide;
      wide.copies.fill(value);
      ring.push(wide);
      if (value % 512 == 0) std::this_thread::yield();
    }
    done = true;
  });
  std::uint64_t received = 0, last = 0;
  bool torn = false, disordered = false, overfull = false;
  std::vector<Wide> chunk(17);
  for (;;) {
    const bool finished = done;
    overfull = overfull || ring.size() > ring.capacity();
    const std::size_t count = ring.pop(chunk);
    for (std::size_t i = 0; i < count; ++i) {
      const auto& copies = chunk[i].copies;
      for (const std::uint64_t copy : copies) torn = torn || copy != copies[0];
      disordered = disordered || copies[0] <= last;
      last = copies[0];
    }
    received += count;
    if (finished && count == 0) break;
  }
  producer.join();
  EXPECT_FALSE(torn);
  EXPECT_FALSE(disordered);
  EXPECT_FALSE(overfull);
  EXPECT_GT(received, 0U);
  EXPECT_EQ(received + ring.dropped(), kValues);
}

TEST(SpscRing, AThirdThreadMayAskForSizeAndDrops) {
  SpscRing<int> ring(16);
  std::atomic<bool> done{false};
  std::atomic<bool> overfull{false};
  std::thread watcher([&] {
    while (!done) {
      if (ring.size() > ring.capacity() || ring.dropped() > 100'000) overfull = true;
    }
  });
  std::thread consumer([&] {
    std::vector<int> chunk(16);
    while (!done) ring.pop(chunk);
  });
  for (int i = 0; i < 100'000; ++i) ring.push(i);
  done = true;
  watcher.join();
  consumer.join();
  EXPECT_FALSE(overfull);
}

}  // namespace
}  // namespace haq
