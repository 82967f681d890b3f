// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/experts/telemetry/event_writer.h"

#include <gtest/gtest.h>

#include <vector>

namespace haq::experts {
namespace {

std::vector<Event> drain(EventRing& ring) {
  std::vector<Event> events(ring.capacity());
  events.resize(ring.pop(events));
  return events;
}

TEST(EventWriter, WritesABatchAStepAndAnUpload) {
  EventRing ring(8);
  EXPECT_EQ(write_batch(ring, 5, {.first_token = 40, .tokens = 3, .prompt = 2, .decode = 1}), 1);
  Event::StepDone step{};
  step.tokens = 3;
  step.hits = 2;
  step.regret_us = 1.5F;
  EXPECT_EQ(write_step(ring, 6, 11, step), 1);
  EXPECT_EQ(write_upload(ring, 7, 12,
                         {.expert = 99, .victim = -1, .slot = 4, .prefetch = 1, .bytes = 1 << 20}),
            1);
  const std::vector<Event> events = drain(ring);
  ASSERT_EQ(events.size(), 3U);
  EXPECT_EQ(events[0].kind, Event::Kind::kBatch);
  EXPECT_EQ(events[0].time_ns, 5U);
  EXPECT_EQ(events[0].batch.first_token, 40);
  EXPECT_EQ(events[0].batch.tokens, 3);
  EXPECT_EQ(events[0].batch.prompt, 2);
  EXPECT_EQ(events[0].batch.decode, 1);
  EXPECT_EQ(events[1].kind, Event::Kind::kStep);
  EXPECT_EQ(events[1].layer, 11);
  EXPECT_EQ(events[1].step.hits, 2);
  EXPECT_EQ(events[1].step.regret_us, 1.5F);
  EXPECT_EQ(events[2].kind, Event::Kind::kUpload);
  EXPECT_EQ(events[2].layer, 12);
  EXPECT_EQ(events[2].upload.expert, 99);
  EXPECT_EQ(events[2].upload.victim, -1);
  EXPECT_EQ(events[2].upload.bytes, 1 << 20);
}

TEST(EventWriter, PutsTheChoicesOfEachTokenIntoTheirOrder) {
  // Widths below, at and above what one event holds.
  for (const int top_k : {1, 8, Event::kPathIds, Event::kPathIds + 1, 3 * Event::kPathIds - 1}) {
    constexpr int kTokens = 5;
    std::vector<std::int32_t> ids;
    for (int i = 0; i < kTokens * top_k; ++i) ids.push_back((i * 37) % 4096);
    EventRing ring(256);
    const int events = write_paths(ring, 9, 3, 1000, top_k, ids);
    const std::vector<Event> drained = drain(ring);
    EXPECT_EQ(drained.size(), static_cast<std::size_t>(events));
    EXPECT_EQ(events, kTokens * ((top_k + Event::kPathIds - 1) / Event::kPathIds));
    std::vector<std::int32_t> seen;
    for (const Event& event : drained) {
      ASSERT_EQ(event.kind, Event::Kind::kPath);
      ASSERT_EQ(event.layer, 3);
      const auto position = static_cast<std::int64_t>(seen.size());
      EXPECT_EQ(event.path.token, 1000 + position / top_k);
      EXPECT_EQ(event.path.offset, position % top_k);
      seen.insert(seen.end(), event.path.ids, event.path.ids + event.path.count);
    }
    EXPECT_EQ(seen, ids) << top_k;
  }
}

TEST(EventWriter, CountsDroppedEventsAsWritten) {
  EventRing ring(4);
  const std::vector<std::int32_t> ids(10, 1);
  EXPECT_EQ(write_paths(ring, 0, 0, 0, 1, ids), 10);
  EXPECT_EQ(ring.dropped(), 6U);
}

TEST(EventWriter, MeasuresWhatAnEventCosts) {
  const double ns = measure_event_ns();
  EXPECT_GT(ns, 0);
  EXPECT_LT(ns, 1e6);
}

}  // namespace
}  // namespace haq::experts
