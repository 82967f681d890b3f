// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/profile/recordings/recorder.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <thread>
#include <vector>

#include "tests/engine/profile/event_samples.h"
#include "tests/engine/profile/recording_samples.h"
#include "tests/support/errors.h"
#include "tests/support/killed_child.h"
#include "tests/support/paths.h"

namespace haq::profile {
namespace {

namespace fs = std::filesystem;
using Access = Database::Access;
using experts::Event;
using test::code_of;

constexpr experts::ExpertShape kShape{6, 64, 4};

StoreFile open_store(const fs::path& path) {
  return StoreFile::open(path, Access::kReadWrite);
}

bool wait_until(const std::function<bool()>& condition) {
  for (int i = 0; i < 2000 && !condition(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return condition();
}

void append_to(std::vector<std::uint16_t>& all, const std::vector<std::uint16_t>& more) {
  all.insert(all.end(), more.begin(), more.end());
}

class RecorderTest : public testing::Test {
 protected:
  experts::Trace read(const std::string& name) {
    StoreFile store = open_store(path_);
    return Recordings(store.database).read(name);
  }
  Recording row(const std::string& name) {
    StoreFile store = open_store(path_);
    return Recordings(store.database).get(name);
  }

  test::TempDir folder_;
  fs::path path_ = folder_.path() / "haq.db";
};

TEST_F(RecorderTest, WritesWhatTheModelChose) {
  std::vector<std::uint16_t> expected;
  {
    Recorder recorder(open_store(path_), sample_recording("paths", kShape));
    SampleEvents events(kShape, recorder.ring());
    for (int prompt = 0; prompt < 3; ++prompt) {
      append_to(expected, events.batch(40, prompt, false));
      for (int i = 0; i < 10; ++i) append_to(expected, events.batch(1, prompt, true));
    }
    const Recorder::Summary summary = recorder.finish(R"({"policy":"lru"})");
    EXPECT_EQ(summary.name, "paths");
    EXPECT_EQ(summary.tokens, 150);
    EXPECT_EQ(summary.decode_tokens, 30);
    EXPECT_EQ(summary.prompts, 3);
    EXPECT_EQ(summary.dropped_events, 0);
    EXPECT_EQ(summary.dropped_tokens, 0);
    EXPECT_EQ(summary.failure, "");
  }
  const experts::Trace trace = read("paths");
  EXPECT_TRUE(trace.ids == expected);
  ASSERT_EQ(trace.batches.size(), 33U);
  EXPECT_EQ(trace.batches[0].tokens, 40);
  EXPECT_FALSE(trace.batches[0].decode);
  EXPECT_TRUE(trace.batches[1].decode);
  EXPECT_EQ(trace.batches[11].prompt, 1);
  const Recording recording = row("paths");
  EXPECT_EQ(recording.state, "done");
  EXPECT_EQ(recording.run_json, R"({"policy":"lru"})");
  EXPECT_EQ(recording.tokens, 150);
}

TEST_F(RecorderTest, StoresWhileTheModelRunsAndShowsEveryEvent) {
  Recorder recorder(open_store(path_), sample_recording("live", kShape));
  std::atomic<std::int64_t> steps{0};
  recorder.set_tap([&](std::span<const Event> events) {
    for (const Event& event : events) steps += event.kind == Event::Kind::kStep ? 1 : 0;
  });
  SampleEvents events(kShape, recorder.ring());
  events.batch(7, 0, false);
  EXPECT_TRUE(wait_until([&] { return recorder.so_far().tokens == 7; }));
  EXPECT_EQ(steps, kShape.layers);
  StoreFile reader = StoreFile::open(path_, Access::kReadOnly);
  EXPECT_EQ(Recordings(reader.database).get("live").tokens, 7);
  events.batch(1, 0, true);
  EXPECT_EQ(recorder.finish("{}").tokens, 8);
  EXPECT_EQ(steps, 2 * kShape.layers);
}

TEST_F(RecorderTest, WithoutAnEndItIsInterrupted) {
  {
    Recording recording = sample_recording("cut", kShape);
    recording.run_json = R"({"device":"cpu"})";
    Recorder recorder(open_store(path_), recording);
    SampleEvents events(kShape, recorder.ring());
    events.batch(3, 0, false);
    events.batch(5, 0, false, 4);  // the pass that was under way
  }
  const Recording recording = row("cut");
  EXPECT_EQ(recording.state, "interrupted");
  EXPECT_EQ(recording.tokens, 3);
  EXPECT_EQ(recording.run_json, R"({"device":"cpu"})");
}

TEST_F(RecorderTest, ATakenNameIsRefusedAtOnce) {
  { Recorder recorder(open_store(path_), sample_recording("twice", kShape)); }
  EXPECT_EQ(code_of([&] { Recorder again(open_store(path_), sample_recording("twice", kShape)); }),
            ErrorCode::kConflict);
}

TEST_F(RecorderTest, DropsAreCountedAndTheRestIsWhole) {
  Recorder::Summary summary;
  std::int64_t written = 0;
  {
    Recorder recorder(open_store(path_), sample_recording("drops", kShape), 64);
    SampleEvents events(kShape, recorder.ring());
    for (int i = 0; i < 50; ++i) {
      events.batch(30, i, false);
      written += 30;
    }
    EXPECT_TRUE(wait_until([&] { return recorder.ring().size() == 0; }));
    events.batch(1, 50, true);
    summary = recorder.finish("{}");
  }
  EXPECT_GT(summary.dropped_events, 0);
  EXPECT_GT(summary.dropped_tokens, 0);
  EXPECT_EQ(summary.tokens + summary.dropped_tokens, written + 1);
  EXPECT_EQ(summary.failure, "");
  EXPECT_EQ(row("drops").dropped_events, summary.dropped_events);
  EXPECT_EQ(read("drops").tokens(), summary.tokens);
}

TEST_F(RecorderTest, AFullDiskEndsTheRecordingAndNotTheModel) {
  StoreFile store = open_store(path_);
  store.database.exec(fmt::format("PRAGMA max_page_count = {}",
                                  store.database.query_integer("PRAGMA page_count") + 8));
  std::atomic<std::int64_t> seen{0};
  Recorder::Summary summary;
  {
    Recorder recorder(std::move(store), sample_recording("full", kShape));
    recorder.set_tap(
        [&](std::span<const Event> events) { seen += static_cast<std::int64_t>(events.size()); });
    SampleEvents events(kShape, recorder.ring());
    events.batch(1, 0, true);
    EXPECT_TRUE(wait_until([&] { return recorder.so_far().tokens == 1; }));
    for (int i = 0; i < 20; ++i) {
      events.batch(100, 0, false);
      if (i != 9) continue;
      EXPECT_TRUE(wait_until([&] { return !recorder.so_far().failure.empty(); }));
    }
    summary = recorder.finish("{}");
  }
  EXPECT_NE(summary.failure.find("full"), std::string::npos) << summary.failure;
  EXPECT_EQ(summary.dropped_events, 0);
  // A view goes on seeing what the model does.
  EXPECT_EQ(seen, 1 + 2 * kShape.layers + 20 * (1 + 101 * kShape.layers));
  const Recording recording = row("full");
  EXPECT_EQ(recording.tokens, summary.tokens);
  EXPECT_NE(recording.state, "done");
  EXPECT_EQ(read("full").tokens(), summary.tokens);
}

TEST_F(RecorderTest, ALockedFileEndsTheRecordingAndNotTheModel) {
  StoreFile store = open_store(path_);
  store.database.exec("PRAGMA busy_timeout = 1");
  Recorder recorder(std::move(store), sample_recording("locked", kShape));
  Database other = Database::open(path_, Access::kReadWrite);
  other.exec("BEGIN IMMEDIATE");
  SampleEvents events(kShape, recorder.ring());
  events.batch(1, 0, true);
  EXPECT_TRUE(wait_until([&] { return !recorder.so_far().failure.empty(); }));
  other.exec("ROLLBACK");
  events.batch(1, 0, true);
  const Recorder::Summary summary = recorder.finish("{}");
  EXPECT_NE(summary.failure.find("locked"), std::string::npos) << summary.failure;
  EXPECT_EQ(summary.tokens, 0);
}

/// What the child does until it is killed; after each drain it says how much was stored.
[[noreturn]] void record_until_killed(const fs::path& path,
                                      const std::function<void(std::int64_t)>& report) {
  Recorder recorder(open_store(path), sample_recording("killed", kShape));
  SampleEvents events(kShape, recorder.ring());
  std::int64_t reported = 0;
  for (;;) {
    events.batch(1, 0, true);
    const std::int64_t stored = recorder.so_far().tokens;
    if (stored == reported) continue;
    reported = stored;
    report(reported);
  }
}

TEST_F(RecorderTest, AKillLosesNothingThatWasStored) {
  const std::int64_t stored =
      test::last_report_of_killed([&](const auto& report) { record_until_killed(path_, report); },
                                  [reports = 0](std::int64_t) mutable { return ++reports == 4; });

  const Recording recording = row("killed");
  EXPECT_EQ(recording.state, "interrupted");
  EXPECT_GE(recording.tokens, stored);
  const experts::Trace trace = read("killed");
  EXPECT_EQ(trace.tokens(), recording.tokens);
  EXPECT_GT(trace.tokens(), 0);
  for (const std::uint16_t id : trace.ids) ASSERT_LT(id, kShape.experts);
}

}  // namespace
}  // namespace haq::profile
