// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/profile/recordings/path_assembler.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "engine/base/error.h"
#include "engine/experts/telemetry/event_writer.h"
#include "tests/engine/profile/event_samples.h"

namespace haq::profile {
namespace {

using experts::Event;
using experts::EventRing;
using experts::ExpertShape;

void drain(EventRing& ring, PathAssembler& assembler, std::size_t chunk) {
  std::vector<Event> events(chunk);
  while (const std::size_t count = ring.pop(events)) {
    assembler.add(std::span(events).first(count), ring.dropped());
  }
}

std::vector<std::uint16_t> paths_of(PathAssembler& assembler) {
  std::vector<std::uint16_t> all;
  for (const RecordedToken& token : assembler.finished()) {
    all.insert(all.end(), token.path.begin(), token.path.end());
  }
  return all;
}

TEST(PathAssembler, PutsTokensTogetherHoweverEventsAreCut) {
  for (const int top_k : {1, 4, 16, 19}) {
    for (const std::size_t chunk : {std::size_t{1}, std::size_t{7}, std::size_t{4096}}) {
      const ExpertShape shape{3, 64, top_k};
      EventRing ring(1 << 12);
      SampleEvents writer(shape, ring);
      std::vector<std::uint16_t> expected = writer.batch(9, 0, false);
      for (int i = 0; i < 3; ++i) {
        const std::vector<std::uint16_t> more = writer.batch(1, 0, true);
        expected.insert(expected.end(), more.begin(), more.end());
      }
      const std::vector<std::uint16_t> more = writer.batch(2, 1, false);
      expected.insert(expected.end(), more.begin(), more.end());

      PathAssembler assembler(shape);
      drain(ring, assembler, chunk);
      EXPECT_EQ(paths_of(assembler), expected);
      const std::span<const RecordedToken> tokens = assembler.finished();
      ASSERT_EQ(tokens.size(), 14U);
      EXPECT_FALSE(tokens[8].decode);
      EXPECT_TRUE(tokens[9].decode);
      EXPECT_EQ(tokens[8].batch, 0);
      EXPECT_EQ(tokens[11].batch, 3);
      EXPECT_EQ(tokens[13].batch, 4);
      EXPECT_EQ(tokens[11].prompt, 0);
      EXPECT_EQ(tokens[12].prompt, 1);
      EXPECT_EQ(assembler.tokens(), 14);
      EXPECT_EQ(assembler.decode_tokens(), 3);
      EXPECT_EQ(assembler.prompts(), 2);
      EXPECT_EQ(assembler.dropped_tokens(), 0);
      assembler.forget_finished();
      EXPECT_TRUE(assembler.finished().empty());
      EXPECT_EQ(assembler.tokens(), 14);
    }
  }
}

TEST(PathAssembler, ClosesADecodeStepWithItsLastLayer) {
  const ExpertShape shape{2, 8, 2};
  EventRing ring(64);
  SampleEvents writer(shape, ring);
  PathAssembler assembler(shape);
  writer.batch(1, 0, true, 1);
  drain(ring, assembler, 8);
  EXPECT_TRUE(assembler.finished().empty());
  writer.batch(1, 0, true);
  drain(ring, assembler, 8);
  EXPECT_EQ(assembler.finished().size(), 1U);
}

TEST(PathAssembler, LeavesOutAPassThatWasCutOff) {
  const ExpertShape shape{4, 8, 2};
  EventRing ring(256);
  SampleEvents writer(shape, ring);
  PathAssembler assembler(shape);
  writer.batch(5, 0, false, 3);
  writer.batch(2, 1, false);
  drain(ring, assembler, 256);
  EXPECT_EQ(assembler.finished().size(), 2U);
  EXPECT_EQ(assembler.prompts(), 1);
  EXPECT_EQ(assembler.dropped_tokens(), 0);
}

TEST(PathAssembler, EveryTokenIsWholeOrCountedWhenEventsAreDropped) {
  const ExpertShape shape{3, 32, 4};
  for (const std::size_t capacity : {16, 32, 64}) {
    EventRing ring(capacity);
    SampleEvents writer(shape, ring);
    PathAssembler assembler(shape);
    std::vector<std::vector<std::uint16_t>> written;
    std::int64_t total = 0;
    std::mt19937 random(static_cast<unsigned>(capacity));
    for (int i = 0; i < 60; ++i) {
      const int tokens = i == 0 ? 1 : 1 + static_cast<int>(random() % 12);
      const std::vector<std::uint16_t> paths = writer.batch(tokens, i, tokens == 1);
      for (int t = 0; t < tokens; ++t) {
        written.emplace_back(paths.begin() + t * 12, paths.begin() + (t + 1) * 12);
      }
      total += tokens;
      if (random() % 4 != 0) drain(ring, assembler, 5);
    }
    // With room again the last batch arrives whole, so that nothing is missing behind it.
    drain(ring, assembler, 5);
    writer.batch(1, 60, true);
    drain(ring, assembler, 5);
    assembler.close(ring.dropped());

    EXPECT_GT(ring.dropped(), 0U);
    EXPECT_GT(assembler.dropped_tokens(), 0);
    EXPECT_EQ(assembler.tokens() + assembler.dropped_tokens(), total + 1);
    // What was kept is a subsequence of what was written: no token of mixed parts.
    std::size_t next = 0;
    const std::span<const RecordedToken> kept = assembler.finished();
    for (const RecordedToken& token : kept.first(kept.size() - 1)) {
      while (next < written.size() &&
             !std::equal(token.path.begin(), token.path.end(), written[next].begin())) {
        ++next;
      }
      ASSERT_LT(next, written.size());
      ++next;
    }
  }
}

TEST(PathAssembler, IgnoresEventsThatDoNotFitTheShape) {
  const ExpertShape shape{2, 8, 2};
  PathAssembler assembler(shape);
  EventRing ring(64);
  const std::vector<std::int32_t> three{1, 2, 3}, two{1, 2};
  experts::write_batch(ring, 0, {.first_token = 0, .tokens = 1, .prompt = 0, .decode = 1});
  experts::write_paths(ring, 0, 0, 0, 3, three);  // too many choices
  experts::write_paths(ring, 0, 2, 0, 2, two);    // no such layer
  experts::write_paths(ring, 0, 1, -5, 2, two);   // no such token
  experts::write_paths(ring, 0, 1, 9, 2, two);
  drain(ring, assembler, 64);
  assembler.close(0);
  EXPECT_TRUE(assembler.finished().empty());
  EXPECT_THROW(PathAssembler({0, 8, 2}), Error);
  EXPECT_THROW(PathAssembler({2, 8, experts::kMaxTopK + 1}), Error);
}

}  // namespace
}  // namespace haq::profile
