// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/base/file.h"

#include <gtest/gtest.h>

#include <fstream>

#include "engine/base/error.h"
#include "tests/support/paths.h"

namespace haq {
namespace {

namespace fs = std::filesystem;

std::size_t entries(const fs::path& folder) {
  return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder), {}));
}

TEST(AtomicFile, AppearsOnlyAfterCommit) {
  test::TempDir folder;
  const fs::path path = folder.path() / "plan.json";
  {
    AtomicFile file(path);
    file.write("half");
    EXPECT_FALSE(fs::exists(path));
  }
  EXPECT_EQ(entries(folder.path()), 0U) << "an abandoned file leaves nothing behind";
  write_file_atomically(path, "whole");
  EXPECT_EQ(read_text_file(path, 100), "whole");
  EXPECT_EQ(entries(folder.path()), 1U);
}

TEST(AtomicFile, MissingFolderIsNamed) {
  test::TempDir folder;
  try {
    AtomicFile file(folder.path() / "missing" / "x");
    FAIL() << "a missing folder must be refused";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kNotFound);
    EXPECT_NE(std::string(error.what()).find("missing"), std::string::npos);
  }
}

TEST(MappedFile, RefusesWhatIsNoFile) {
  test::TempDir folder;
  EXPECT_THROW(MappedFile::open(folder.path()), Error);
  try {
    MappedFile::open(folder.path() / "absent");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kNotFound);
    EXPECT_NE(std::string(error.what()).find("absent"), std::string::npos);
  }
}

TEST(MappedFile, EmptyFileHasNoBytes) {
  test::TempDir folder;
  std::ofstream(folder.path() / "empty").close();
  EXPECT_EQ(MappedFile::open(folder.path() / "empty")->size(), 0U);
}

TEST(ReadTextFile, StopsAtTheLimit) {
  test::TempDir folder;
  std::ofstream(folder.path() / "big") << std::string(1000, 'x');
  EXPECT_THROW(read_text_file(folder.path() / "big", 999), Error);
  EXPECT_EQ(read_text_file(folder.path() / "big", 1000).size(), 1000U);
}

}  // namespace
}  // namespace haq
