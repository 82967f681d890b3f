// SPDX-License-Identifier: GPL-3.0-or-later
// A disk that fills up, as a small memory file system: needs the right to mount, else skipped.
#include <gmock/gmock.h>
#include <sys/mount.h>

#include <fstream>

#include "engine/quant/folder/safetensors_writer.h"
#include "tests/engine/quant/work_folder_fixture.h"
#include "tests/support/errors.h"

namespace haq::quant {
namespace {

namespace fs = std::filesystem;
using test::error_of;
using testing::HasSubstr;

class SmallDisk {
 public:
  SmallDisk(const fs::path& folder, std::uint64_t bytes) : folder_(folder) {
    fs::create_directories(folder);
    mounted_ =
        ::mount("tmpfs", folder.c_str(), "tmpfs", 0, fmt::format("size={}", bytes).c_str()) == 0;
  }
  ~SmallDisk() {
    if (mounted_) ::umount2(folder_.c_str(), MNT_DETACH);
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;

  bool mounted() const { return mounted_; }
  const fs::path& folder() const { return folder_; }
  std::uint64_t free() const { return fs::space(folder_).available; }
  /// Leaves at most `left` bytes free; remove_filler() gives them back.
  void fill(std::uint64_t left) const {
    const std::uint64_t available = free();
    if (available > left)
      std::ofstream(filler(), std::ios::binary) << std::string(available - left, 'x');
  }
  void remove_filler() const { fs::remove(filler()); }

 private:
  fs::path filler() const { return folder_ / "filler"; }
  fs::path folder_;
  bool mounted_ = false;
};

/// First line of a test here.
#define HAQ_REQUIRE_MOUNT(disk)                                              \
  do {                                                                       \
    if (!(disk).mounted()) GTEST_SKIP() << "no right to mount a small disk"; \
  } while (false)

std::vector<std::string> temporary_files(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& [name, text] : contents(folder)) {
    if (name.find(".tmp-") != std::string::npos) names.push_back(name);
  }
  return names;
}

class FullDisk : public WorkFolderTest {
 protected:
  SmallDisk disk_{temporary_.path() / "disk", std::uint64_t{4} << 20};
};

TEST_F(FullDisk, ALayerThatDoesNotFitIsRefusedWithTheNumbers) {
  HAQ_REQUIRE_MOUNT(disk_);
  target_ = disk_.folder() / "out";
  {
    WorkFolder folder = open();
    folder.save_layer(outputs_.layer(0));
    disk_.fill(8192);
    const Error error = error_of([&] { folder.save_layer(outputs_.layer(1)); });
    EXPECT_EQ(error.code(), ErrorCode::kNoSpace);
    EXPECT_THAT(error.what(), HasSubstr("bytes are needed"));
    EXPECT_THAT(error.what(), HasSubstr("layer-0001"));
    EXPECT_THAT(error.hint(), HasSubstr("--resume"));
    EXPECT_FALSE(folder.has_layer(1));
    EXPECT_THAT(temporary_files(target_), testing::IsEmpty());
  }
  disk_.remove_filler();
  WorkFolder folder = open(ResumeMode::kResume);
  EXPECT_TRUE(folder.has_layer(0));
  save_all(folder);
  finish(folder);
  (void)model::Checkpoint::open(target_);
}

TEST_F(FullDisk, AShardThatDoesNotFitLeavesTheLayers) {
  HAQ_REQUIRE_MOUNT(disk_);
  write_model();
  const auto expected = contents(target_);
  target_ = disk_.folder() / "out";
  WorkFolder folder = open();
  save_all(folder);
  disk_.fill(65536);
  const Error error = error_of([&] { finish(folder); });
  EXPECT_EQ(error.code(), ErrorCode::kNoSpace);
  EXPECT_THAT(error.what(), HasSubstr("bytes are needed"));
  EXPECT_FALSE(fs::exists(target_ / "config.json"));
  EXPECT_FALSE(fs::exists(target_ / "model.safetensors"));
  EXPECT_THAT(temporary_files(target_), testing::IsEmpty());
  for (int layer = -1; layer < outputs_.count(); ++layer) EXPECT_TRUE(folder.has_layer(layer));
  disk_.remove_filler();
  finish(folder);
  EXPECT_EQ(contents(target_), expected);
}

/// The room that was there at the start may be gone when the bytes come.
TEST_F(FullDisk, AFileThatRunsIntoTheEndLeavesNothing) {
  HAQ_REQUIRE_MOUNT(disk_);
  const fs::path path = disk_.folder() / "model.safetensors";
  {
    SafetensorsWriter writer(path, {}, {{"a", DType::kI8, {1 << 20}}}, {});
    disk_.fill(65536);
    const Error error = error_of([&] { writer.write(std::vector<std::byte>(1 << 20)); });
    EXPECT_EQ(error.code(), ErrorCode::kNoSpace);
    EXPECT_THAT(error.what(), HasSubstr("bytes are needed"));
  }
  disk_.remove_filler();
  EXPECT_TRUE(fs::is_empty(disk_.folder()));
}

TEST_F(FullDisk, AStartWithoutRoomLeavesNothing) {
  HAQ_REQUIRE_MOUNT(disk_);
  disk_.fill(0);
  target_ = disk_.folder() / "out";
  const Error error = error_of([&] { open(); });
  EXPECT_EQ(error.code(), ErrorCode::kNoSpace);
  disk_.remove_filler();
  EXPECT_TRUE(fs::is_empty(disk_.folder()));
}

}  // namespace
}  // namespace haq::quant
