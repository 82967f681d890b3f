// SPDX-License-Identifier: GPL-3.0-or-later
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "engine/profile/chats/chat_store.h"
#include "engine/profile/recordings/recordings.h"
#include "engine/profile/store/quantization_runs.h"
#include "engine/profile/store/schema.h"
#include "engine/profile/store/store_file.h"
#include "tests/engine/profile/recording_samples.h"
#include "tests/support/errors.h"
#include "tests/support/killed_child.h"
#include "tests/support/paths.h"

namespace haq::profile {
namespace {

namespace fs = std::filesystem;
using test::code_of;
using test::error_of;
using testing::HasSubstr;

constexpr experts::ExpertShape kShape{24, 32, 4};

/// Token `number` chooses by its number, so that a reader knows what to expect.
std::vector<std::uint16_t> numbered_path(std::int64_t number) {
  std::vector<std::uint16_t> path;
  for (int layer = 0; layer < kShape.layers; ++layer) {
    for (int rank = 0; rank < kShape.top_k; ++rank) {
      path.push_back(static_cast<std::uint16_t>((number * 7 + layer + rank) % kShape.experts));
    }
  }
  return path;
}

void append_numbered(Recordings& recordings, std::int64_t id, std::int64_t first, int count) {
  std::vector<std::vector<std::uint16_t>> paths;
  std::vector<RecordedToken> tokens;
  for (int i = 0; i < count; ++i) paths.push_back(numbered_path(first + i));
  for (int i = 0; i < count; ++i) {
    tokens.push_back({0, first + i, true, paths[static_cast<std::size_t>(i)]});
  }
  recordings.append(id, tokens);
}

[[noreturn]] void record_until_killed(const fs::path& path,
                                      const std::function<void(std::int64_t)>& report) {
  StoreFile store = StoreFile::open(path, Database::Access::kReadWrite);
  Recordings recordings(store.database);
  const std::int64_t id = recordings.begin(sample_recording("killed", kShape));
  for (std::int64_t tokens = 0;;) {
    append_numbered(recordings, id, tokens, 5);
    tokens += 5;
    report(tokens);
  }
}

TEST(RecordingFaults, AKillLosesNothingThatWasReportedStored) {
  for (const std::int64_t before_kill : {5, 300}) {
    const test::TempDir folder;
    const fs::path path = folder.path() / "haq.db";
    const std::int64_t stored =
        test::last_report_of_killed([&](const auto& report) { record_until_killed(path, report); },
                                    [&](std::int64_t tokens) { return tokens >= before_kill; });

    {
      // A reader sees it before anybody has opened the file for writing.
      StoreFile reader = StoreFile::open(path, Database::Access::kReadOnly);
      EXPECT_GE(Recordings(reader.database).read("killed").tokens(), stored);
    }
    StoreFile store = StoreFile::open(path, Database::Access::kReadWrite);
    EXPECT_TRUE(store.notices.empty());
    Recordings recordings(store.database);
    EXPECT_EQ(recordings.get("killed").state, "interrupted");
    const experts::Trace trace = recordings.read("killed");
    // The kill may have come between storing and reporting.
    EXPECT_TRUE(trace.tokens() == stored || trace.tokens() == stored + 5);
    EXPECT_THAT(trace.notices, testing::ElementsAre(HasSubstr("interrupted")));
    for (std::int64_t token = 0; token < trace.tokens(); ++token) {
      const auto path_of = numbered_path(token);
      ASSERT_TRUE(std::equal(path_of.begin(), path_of.end(),
                             trace.ids.begin() + token * kShape.layers * kShape.top_k));
    }
    EXPECT_EQ(recordings.uses("killed", {}), experts::count_uses(trace, 0, trace.tokens()));
    EXPECT_EQ(recordings.recover(), 0);
  }
}

TEST(RecordingFaults, AReaderBesideTheWriterSeesWholeAppends) {
  const test::TempDir folder;
  const fs::path path = folder.path() / "haq.db";
  StoreFile writer = StoreFile::open(path, Database::Access::kReadWrite);
  Recordings recordings(writer.database);
  const std::int64_t id = recordings.begin(sample_recording("live", kShape));
  StoreFile reader = StoreFile::open(path, Database::Access::kReadOnly);
  Recordings beside(reader.database);
  for (int round = 0; round < 4; ++round) {
    append_numbered(recordings, id, round * 3, 3);
    EXPECT_EQ(beside.get("live").state, "recording");
    EXPECT_EQ(beside.read("live").tokens(), 3 * (round + 1));
  }
  EXPECT_EQ(code_of([&] { beside.remove("live"); }), ErrorCode::kIo) << "it is opened to read";
}

TEST(RecordingFaults, TheWindowsProgramRecordsBesideItsOwnStore) {
  const test::TempDir folder;
  const fs::path path = folder.path() / "haq.db";
  EXPECT_EQ(code_of([&] { StoreFile::join(path); }), ErrorCode::kNotFound);
  ChatStore window = ChatStore::open(path);
  StoreFile second = StoreFile::join(path);
  Recordings recordings(second.database);
  const std::int64_t id = recordings.begin(sample_recording("live", kShape));
  for (int round = 0; round < 3; ++round) {
    window.add(Conversation{.title = "meanwhile"});
    append_numbered(recordings, id, round, 1);
  }
  { StoreFile third = StoreFile::join(path); }
  EXPECT_EQ(recordings.get("live").state, "recording") << "joining recovers nothing";
  recordings.finish(id, "done", 0, "{}");
  EXPECT_EQ(window.conversations().size(), 3U);
  EXPECT_EQ(recordings.read("live").tokens(), 3);
}

TEST(RecordingFaults, AFullDiskKeepsWhatWasStored) {
  const test::TempDir folder;
  const fs::path path = folder.path() / "haq.db";
  StoreFile store = StoreFile::open(path, Database::Access::kReadWrite);
  Recordings recordings(store.database);
  const std::int64_t id = recordings.begin(sample_recording("a", kShape));
  append_numbered(recordings, id, 0, 50);
  // SQLite's own limit stands for the end of the disk.
  store.database.exec(
      fmt::format("PRAGMA max_page_count = {}", store.database.query_integer("PRAGMA page_count")));
  std::int64_t stored = 50;
  const Error error = error_of([&] {
    for (; stored < 100000; stored += 50) append_numbered(recordings, id, stored, 50);
  });
  EXPECT_EQ(error.code(), ErrorCode::kNoSpace);
  EXPECT_FALSE(error.hint().empty());
  EXPECT_EQ(recordings.read("a").tokens(), stored) << "the append that failed left nothing";
  recordings.finish(id, "interrupted", 0, "{}");
  EXPECT_EQ(recordings.get("a").state, "interrupted");
  std::mt19937 random(1);
  const experts::Trace large = random_trace(kShape, 500, random);
  EXPECT_EQ(code_of([&] { recordings.add(sample_recording("b", kShape), large); }),
            ErrorCode::kNoSpace);
  EXPECT_EQ(recordings.list().size(), 1U);
}

TEST(RecordingFaults, ALockedDatabaseIsAConflictAndNothingIsLost) {
  const test::TempDir folder;
  const fs::path path = folder.path() / "haq.db";
  StoreFile store = StoreFile::open(path, Database::Access::kReadWrite);
  store.database.exec("PRAGMA busy_timeout = 0");
  Recordings recordings(store.database);
  const std::int64_t id = recordings.begin(sample_recording("a", kShape));
  append_numbered(recordings, id, 0, 2);
  {
    Database other = Database::open(path, Database::Access::kReadWrite);
    const Transaction holding(other);
    EXPECT_EQ(code_of([&] { append_numbered(recordings, id, 2, 2); }), ErrorCode::kConflict);
    EXPECT_EQ(recordings.read("a").tokens(), 2) << "reading goes on";
  }
  append_numbered(recordings, id, 2, 2);
  EXPECT_EQ(recordings.read("a").tokens(), 4);
}

TEST(RecordingFaults, ADamagedDatabaseIsKeptAside) {
  const test::TempDir folder;
  const fs::path path = folder.path() / "haq.db";
  {
    StoreFile store = StoreFile::open(path, Database::Access::kReadWrite);
    Recordings recordings(store.database);
    const std::int64_t id = recordings.begin(sample_recording("a", kShape));
    append_numbered(recordings, id, 0, 2000);
  }
  fs::resize_file(path, fs::file_size(path) / 2);
  StoreFile store = StoreFile::open(path, Database::Access::kReadWrite);
  ASSERT_EQ(store.notices.size(), 1U);
  EXPECT_THAT(store.notices[0], HasSubstr("corrupt-"));
  EXPECT_TRUE(Recordings(store.database).list().empty());
}

void make_store_of_version(const fs::path& path, std::size_t version) {
  Database database = Database::open(path, Database::Access::kReadWrite);
  for (std::size_t step = 0; step < version; ++step) database.exec(migrations()[step]);
  database.exec(
      fmt::format("PRAGMA application_id = {}; PRAGMA user_version = {}", kApplicationId, version));
  database.exec("INSERT INTO conversations (title, created_ms, updated_ms) VALUES ('old', 1, 1)");
  if (version < 2) return;
  database.exec(
      "INSERT INTO quantization_runs (started_ms, state, source, target, method) VALUES (1, "
      "'done', 'a', 'b', 'haq')");
}

TEST(RecordingFaults, OlderStoresAreBroughtUpToDate) {
  for (const std::size_t version : {1, 2}) {
    const test::TempDir folder;
    const fs::path path = folder.path() / "haq.db";
    make_store_of_version(path, version);
    EXPECT_EQ(code_of([&] { StoreFile::open(path, Database::Access::kReadOnly); }),
              ErrorCode::kConflict);
    {
      StoreFile store = StoreFile::open(path, Database::Access::kReadWrite);
      EXPECT_TRUE(store.notices.empty());
      EXPECT_EQ(store.database.query_integer("PRAGMA user_version"), schema_version());
      Recordings recordings(store.database);
      EXPECT_TRUE(recordings.list().empty());
      const std::int64_t id = recordings.begin(sample_recording("new", kShape));
      append_numbered(recordings, id, 0, 3);
      recordings.finish(id, "done", 0, "{}");
      EXPECT_EQ(recordings.read("new").tokens(), 3);
    }
    ChatStore chats = ChatStore::open(path);
    ASSERT_EQ(chats.conversations().size(), 1U);
    EXPECT_EQ(chats.conversations()[0].title, "old");
    EXPECT_EQ(chats.quantization_runs().list().size(), version < 2 ? 0U : 1U);
  }
  EXPECT_GE(schema_version(), 3);
}

}  // namespace
}  // namespace haq::profile
