// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <filesystem>
#include <string>

namespace haq::test {

std::filesystem::path source_dir();
/// tests/golden: the reference vectors.
std::filesystem::path golden_dir();
/// The folder that holds data/, golden/ and models/: $HAQ_SHARED, else ../shared beside the project;
/// empty when it is missing (tests that need it then skip with "no shared data").
std::filesystem::path shared_dir();

/// A fresh folder below the system's temporary folder, removed with everything in it at the end.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace haq::test

/// First line of a test that needs the shared data folder.
#define HAQ_REQUIRE_SHARED()                                                    \
  do {                                                                          \
    if (haq::test::shared_dir().empty()) GTEST_SKIP() << "no shared data";      \
  } while (false)
