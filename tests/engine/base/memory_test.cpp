// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/base/memory.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "tests/support/paths.h"

namespace haq {
namespace {

void write_group(const std::filesystem::path& folder, const std::string& limit, int used,
                 int cache = 0) {
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "memory.max") << limit << "\n";
  std::ofstream(folder / "memory.current") << used << "\n";
  std::ofstream(folder / "memory.stat") << "anon 7\ninactive_file " << cache << "\nactive_file 0\n";
}

TEST(Memory, TheTightestGroupDecides) {
  const test::TempDir root;
  const auto left = [&](const char* group) { return group_available(root.path(), group); };
  EXPECT_EQ(left("/"), std::nullopt);
  EXPECT_EQ(left("/user/app"), std::nullopt);
  write_group(root.path() / "user", "1000", 300);
  write_group(root.path() / "user/app", "max", 200);
  EXPECT_EQ(left("/"), std::nullopt);
  EXPECT_EQ(left("/user"), 700U);
  EXPECT_EQ(left("/user/app"), 700U);
  write_group(root.path() / "user/app", "400", 200, 50);
  EXPECT_EQ(left("/user/app"), 250U);  // its page cache can be dropped
  EXPECT_EQ(left("/user/gone"), 700U);
  write_group(root.path(), "100", 90);
  EXPECT_EQ(left("/user/app"), 10U);
  write_group(root.path(), "100", 900);
  EXPECT_EQ(left("/user/app"), 0U);
}

TEST(Memory, ThisMachineHasSome) {
  EXPECT_GT(available_memory(), std::uint64_t{1} << 20);
  EXPECT_GT(peak_rss_bytes(), std::uint64_t{1} << 20);
}

}  // namespace
}  // namespace haq
