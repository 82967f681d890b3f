// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/support/paths.h"

#include <cstdlib>
#include <stdexcept>

namespace haq::test {

namespace fs = std::filesystem;

fs::path source_dir() { return HAQ_SOURCE_DIR; }
fs::path golden_dir() { return source_dir() / "tests/golden"; }

fs::path shared_dir() {
  const char* named = std::getenv("HAQ_SHARED");
  const fs::path folder = named != nullptr ? fs::path(named) : source_dir() / "../shared";
  std::error_code ignored;
  return fs::is_directory(folder / "data", ignored) ? folder : fs::path();
}

TempDir::TempDir() {
  std::string pattern = (fs::temp_directory_path() / "haq-test-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("cannot make " + pattern);
  path_ = pattern;
}

TempDir::~TempDir() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

}  // namespace haq::test
