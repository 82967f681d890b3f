// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/profile/store/store_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "engine/base/file.h"
#include "engine/profile/chats/chat_store.h"
#include "engine/profile/store/schema.h"
#include "tests/support/errors.h"
#include "tests/support/paths.h"

namespace haq::profile {
namespace {

namespace fs = std::filesystem;
using test::error_of;

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename());
  return names;
}

void fill(const fs::path& path, int conversations) {
  ChatStore store = ChatStore::open(path);
  for (int i = 0; i < conversations; ++i) {
    const Id chat = store.add(Conversation{.title = fmt::format("chat {}", i)});
    store.add(
        Message{0, chat, 0, Role::kUser, std::string(3000, 'x'), MessageState::kDone, 0, "{}"});
  }
}

TEST(StoreFile, MakesFolderAndFileAndMarksThem) {
  const test::TempDir folder;
  const fs::path path = folder.path() / "new" / "haq.db";
  fill(path, 1);
  const std::string bytes = read_text_file(path, 1 << 24);
  ASSERT_GT(bytes.size(), 100U);
  EXPECT_EQ(bytes.substr(68, 4), "HAQS");
  EXPECT_EQ(bytes[63], schema_version());
}

TEST(StoreFile, AFileThatIsNoDatabaseIsKeptAside) {
  const test::TempDir folder;
  const fs::path path = folder.path() / "haq.db";
  write_file_atomically(path, "this is my diary");
  const ChatStore store = ChatStore::open(path);
  ASSERT_EQ(store.notices().size(), 1U);
  EXPECT_THAT(store.notices()[0], testing::HasSubstr("haq.db.corrupt-"));
  bool kept = false;
  for (const std::string& name : names_in(folder.path())) {
    if (name.starts_with("haq.db.corrupt-")) {
      kept = kept || read_text_file(folder.path() / name, 100) == "this is my diary";
    }
  }
  EXPECT_TRUE(kept);
}

TEST(StoreFile, ADamagedPageIsNoticedAndTheFileKeptAside) {
  const test::TempDir folder;
  const fs::path path = folder.path() / "haq.db";
  fill(path, 40);
  {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    for (int page = 2; page < 12; ++page) {
      file.seekp(page * 4096);
      file.write("\xde\xad\xbe\xef\xde\xad\xbe\xef", 8);
    }
  }
  ChatStore store = ChatStore::open(path);
  EXPECT_EQ(store.notices().size(), 1U);
  EXPECT_TRUE(store.conversations().empty());
  store.add(Conversation{.title = "a new start"});
  EXPECT_THAT(names_in(folder.path()), testing::Contains(testing::StartsWith("haq.db.corrupt-")));
}

TEST(StoreFile, ATruncatedFileIsKeptAside) {
  const test::TempDir folder;
  const fs::path path = folder.path() / "haq.db";
  fill(path, 40);
  fs::resize_file(path, fs::file_size(path) / 2);
  EXPECT_EQ(ChatStore::open(path).notices().size(), 1U);
  fs::resize_file(path, 60);  // shorter than a header
  EXPECT_EQ(ChatStore::open(path).notices().size(), 1U);
}

TEST(StoreFile, AnEmptyFileIsANewDatabase) {
  const test::TempDir folder;
  const fs::path path = folder.path() / "haq.db";
  write_file_atomically(path, "");
  EXPECT_TRUE(ChatStore::open(path).notices().empty());
}

TEST(StoreFile, ANewerDatabaseIsNeverTouched) {
  const test::TempDir folder;
  const fs::path path = folder.path() / "haq.db";
  fill(path, 1);
  {
    Database database = Database::open(path, Database::Access::kReadWrite);
    database.exec(fmt::format("PRAGMA user_version = {}", schema_version() + 1));
  }
  const std::string before = read_text_file(path, 1 << 24);
  const Error error = error_of([&] { ChatStore::open(path); });
  EXPECT_EQ(error.code(), ErrorCode::kConflict);
  EXPECT_THAT(error.what(), testing::HasSubstr("newer version"));
  EXPECT_EQ(error_of([&] { ChatStore::open_read_only(path); }).code(), ErrorCode::kConflict);
  EXPECT_EQ(read_text_file(path, 1 << 24), before);
}

TEST(StoreFile, AnotherProgramsDatabaseIsNeverTouched) {
  const test::TempDir folder;
  const fs::path path = folder.path() / "haq.db";
  {
    Database database = Database::open(path, Database::Access::kReadWrite);
    database.exec("PRAGMA journal_mode = DELETE; CREATE TABLE bookmarks (url TEXT)");
  }
  const Error error = error_of([&] { ChatStore::open(path); });
  EXPECT_EQ(error.code(), ErrorCode::kConflict);
  EXPECT_THAT(error.what(), testing::HasSubstr("another program"));
  Database database = Database::open(path, Database::Access::kReadOnly);
  EXPECT_EQ(database.query_integer("SELECT count(*) FROM sqlite_schema"), 1);
}

TEST(StoreFile, OnlyOneWriterButAReaderBesideIt) {
  const test::TempDir folder;
  const fs::path path = folder.path() / "haq.db";
  ChatStore writer = ChatStore::open(path);
  const Error error = error_of([&] { ChatStore::open(path); });
  EXPECT_EQ(error.code(), ErrorCode::kConflict);
  EXPECT_FALSE(error.hint().empty());
  writer.add(Conversation{.title = "seen"});
  ChatStore reader = ChatStore::open_read_only(path);
  EXPECT_EQ(reader.conversations().size(), 1U);
  writer.add(Conversation{.title = "also seen"});
  EXPECT_EQ(reader.conversations().size(), 2U);
  EXPECT_EQ(error_of([&] { reader.add(Conversation{.title = "no"}); }).code(), ErrorCode::kIo);
}

TEST(StoreFile, TheLockGoesWithItsHolder) {
  const test::TempDir folder;
  const fs::path path = folder.path() / "haq.db";
  { const ChatStore first = ChatStore::open(path); }
  EXPECT_NO_THROW(ChatStore::open(path));
}

TEST(StoreFile, ReadingNeedsAFile) {
  const test::TempDir folder;
  EXPECT_EQ(error_of([&] { ChatStore::open_read_only(folder.path() / "none.db"); }).code(),
            ErrorCode::kNotFound);
  EXPECT_FALSE(fs::exists(folder.path() / "none.db"));
  write_file_atomically(folder.path() / "text.db", "text");
  EXPECT_EQ(error_of([&] { ChatStore::open_read_only(folder.path() / "text.db"); }).code(),
            ErrorCode::kCorrupt);
  EXPECT_TRUE(fs::exists(folder.path() / "text.db"));
}

TEST(StoreFile, AFolderThatCannotBeMadeIsAnIoError) {
  const test::TempDir folder;
  write_file_atomically(folder.path() / "file", "");
  EXPECT_EQ(error_of([&] { ChatStore::open(folder.path() / "file" / "haq.db"); }).code(),
            ErrorCode::kIo);
}

}  // namespace
}  // namespace haq::profile
