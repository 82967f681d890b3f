// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/quant/folder/work_folder.h"

#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "engine/model/safetensors.h"
#include "tests/engine/quant/work_folder_fixture.h"
#include "tests/support/errors.h"

namespace haq::quant {
namespace {

namespace fs = std::filesystem;
using test::error_of;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

void expect_equal(const LayerOutput& a, const LayerOutput& b) {
  EXPECT_EQ(a.layer, b.layer);
  ASSERT_EQ(a.tensors.size(), b.tensors.size());
  std::map<std::string, const OutputTensor*> by_name;
  for (const auto& tensor : a.tensors) by_name[tensor.name] = &tensor;
  for (const auto& tensor : b.tensors) {
    const OutputTensor& other = *by_name.at(tensor.name);
    EXPECT_EQ(other.dtype, tensor.dtype);
    EXPECT_EQ(other.shape, tensor.shape);
    EXPECT_EQ(other.bytes, tensor.bytes) << tensor.name;
  }
  ASSERT_EQ(a.modules.size(), b.modules.size());
  for (std::size_t i = 0; i < a.modules.size(); ++i) {
    EXPECT_EQ(a.modules[i].name, b.modules[i].name);
    EXPECT_EQ(a.modules[i].role, b.modules[i].role);
    EXPECT_EQ(a.modules[i].error_rtn, b.modules[i].error_rtn);
    EXPECT_EQ(a.modules[i].seconds, b.modules[i].seconds);
  }
  ASSERT_EQ(a.experts.size(), b.experts.size());
  for (std::size_t i = 0; i < a.experts.size(); ++i) {
    EXPECT_EQ(a.experts[i].tokens, b.experts[i].tokens);
  }
  EXPECT_EQ(a.router_choices, b.router_choices);
  EXPECT_EQ(a.router_equal, b.router_equal);
}

TEST_F(WorkFolderTest, SavedLayersComeBack) {
  {
    WorkFolder folder = open();
    EXPECT_FALSE(folder.has_layer(0));
    EXPECT_FALSE(folder.load_layer(0));
    save(folder, 0, 1);
    folder.save_layer(outputs_.globals);
  }
  WorkFolder folder = open(ResumeMode::kResume);
  EXPECT_TRUE(folder.has_layer(0));
  EXPECT_TRUE(folder.has_layer(-1));
  EXPECT_FALSE(folder.has_layer(1));
  expect_equal(*folder.load_layer(0), outputs_.layer(0));
  expect_equal(*folder.load_layer(-1), outputs_.globals);
}

TEST_F(WorkFolderTest, StateComesBackAndIsRefusedWhenDamaged) {
  {
    WorkFolder folder = open();
    EXPECT_FALSE(folder.load_state("rotation"));
    folder.save_state("rotation", {{"seed", 3}, {"kld", 0.125}});
  }
  {
    WorkFolder folder = open(ResumeMode::kResume);
    EXPECT_EQ(folder.load_state("rotation"), nlohmann::json({{"seed", 3}, {"kld", 0.125}}));
    EXPECT_EQ(error_of([&] { (void)folder.load_state("../run"); }).code(), ErrorCode::kInternal);
  }
  std::ofstream(target_ / ".haq-quantize/state-rotation.json") << "{\"seed\": ";
  WorkFolder folder = open(ResumeMode::kResume);
  const Error error = error_of([&] { (void)folder.load_state("rotation"); });
  EXPECT_EQ(error.code(), ErrorCode::kCorrupt);
  EXPECT_THAT(error.hint(), HasSubstr("--restart"));
}

TEST_F(WorkFolderTest, ADamagedLayerCountsAsNotFinished) {
  {
    WorkFolder folder = open();
    save(folder, 0, 2);
  }
  const fs::path first = target_ / ".haq-quantize/layer-0000.safetensors";
  const fs::path second = target_ / ".haq-quantize/layer-0001.safetensors";
  std::string bytes = read_text_file(first, 1 << 28);
  bytes[bytes.size() - 5] = static_cast<char>(bytes[bytes.size() - 5] ^ 1);
  std::ofstream(first, std::ios::binary) << bytes;
  fs::resize_file(second, fs::file_size(second) / 2);
  WorkFolder folder = open(ResumeMode::kResume);
  EXPECT_FALSE(folder.has_layer(0)) << "one flipped bit";
  EXPECT_FALSE(folder.load_layer(0));
  EXPECT_FALSE(folder.has_layer(1)) << "cut off";
  const Error error = error_of([&] { finish(folder); });
  EXPECT_EQ(error.code(), ErrorCode::kNotFound);
  save_all(folder);
  EXPECT_TRUE(folder.has_layer(0));
  finish(folder);
}

TEST_F(WorkFolderTest, ALayerOfAnotherPlaceOrRunCountsAsNotFinished) {
  WorkFolder folder = open();
  save(folder, 0, 1);
  const fs::path hidden = target_ / ".haq-quantize";
  fs::copy_file(hidden / "layer-0000.safetensors", hidden / "layer-0001.safetensors");
  EXPECT_FALSE(folder.has_layer(1));

  RunIdentity other = identity_;
  other.settings["seed"] = 2;
  const fs::path elsewhere = temporary_.path() / "other";
  {
    WorkFolder stranger(elsewhere, source_, other, ResumeMode::kFresh);
    stranger.save_layer(outputs_.layer(1));
  }
  fs::copy_file(elsewhere / ".haq-quantize/layer-0001.safetensors",
                hidden / "layer-0001.safetensors", fs::copy_options::overwrite_existing);
  EXPECT_FALSE(folder.has_layer(1));
}

TEST_F(WorkFolderTest, TwoRunsOnOneFolderAreRefused) {
  WorkFolder folder = open();
  EXPECT_TRUE(WorkFolder::inspect(target_).running);
  for (const ResumeMode mode : {ResumeMode::kFresh, ResumeMode::kResume, ResumeMode::kRestart}) {
    const Error error = error_of([&] { open(mode); });
    EXPECT_EQ(error.code(), ErrorCode::kConflict);
    EXPECT_THAT(error.what(), HasSubstr("another quantization is working on this folder"));
    EXPECT_THAT(error.what(), HasSubstr(target_.string()));
  }
  save_all(folder);
  finish(folder);
  EXPECT_FALSE(WorkFolder::inspect(target_).running);
}

TEST_F(WorkFolderTest, ResumeNamesWhatDiffers) {
  {
    WorkFolder folder = open();
    save(folder, 0, 1);
  }
  identity_.settings["seed"] = 2;
  identity_.settings["isa"] = "avx2";
  identity_.calibration_fingerprint = "ff";
  const Error error = error_of([&] { open(ResumeMode::kResume); });
  EXPECT_EQ(error.code(), ErrorCode::kConflict);
  EXPECT_THAT(error.what(), HasSubstr("setting \"seed\": found 1, expected 2"));
  EXPECT_THAT(error.what(), HasSubstr("setting \"isa\": found nothing, expected \"avx2\""));
  EXPECT_THAT(error.what(), HasSubstr("calibration data: found fingerprint 0123"));
  EXPECT_THAT(error.hint(), HasSubstr("--restart"));
  EXPECT_THAT(error.what(), testing::Not(HasSubstr("method")));
}

TEST_F(WorkFolderTest, TheOrderOfSettingsDoesNotMatter) {
  {
    WorkFolder folder = open();
    save(folder, 0, 1);
  }
  RunIdentity same = identity_;
  same.settings = {{"seed", 1}, {"method", "rtn"}};
  EXPECT_EQ(same.hash(), identity_.hash());
  EXPECT_EQ(same.hash().size(), 32U);
  WorkFolder folder(target_, source_, same, ResumeMode::kResume);
  EXPECT_TRUE(folder.has_layer(0));
}

TEST_F(WorkFolderTest, AFreshRunLeavesEarlierWorkAlone) {
  {
    WorkFolder folder = open();
    save(folder, 0, 1);
  }
  const auto before = contents(target_);
  const Error unfinished = error_of([&] { open(); });
  EXPECT_EQ(unfinished.code(), ErrorCode::kConflict);
  EXPECT_THAT(unfinished.hint(), HasSubstr("--resume"));
  EXPECT_EQ(contents(target_), before);

  {
    WorkFolder folder = open(ResumeMode::kResume);
    save_all(folder);
    finish(folder);
  }
  const auto model = contents(target_);
  for (const ResumeMode mode : {ResumeMode::kFresh, ResumeMode::kResume}) {
    const Error finished = error_of([&] { open(mode); });
    EXPECT_EQ(finished.code(), ErrorCode::kConflict);
    EXPECT_THAT(finished.what(), HasSubstr("finished quantized model"));
    EXPECT_THAT(finished.hint(), HasSubstr("--restart"));
  }
  EXPECT_EQ(contents(target_), model);
}

TEST_F(WorkFolderTest, RestartRemovesOnlyWhatIsOurs) {
  write_model();
  std::ofstream(target_ / "notes.txt") << "mine";
  std::ofstream(target_ / "adapter.safetensors") << "mine too";
  const auto before = contents(target_);
  {
    WorkFolder folder = open(ResumeMode::kRestart);
    EXPECT_FALSE(folder.has_layer(0));
    EXPECT_FALSE(fs::exists(target_ / "config.json"));
    EXPECT_FALSE(fs::exists(target_ / "model.safetensors"));
    EXPECT_TRUE(fs::exists(target_ / "notes.txt"));
    save_all(folder);
    finish(folder);
  }
  EXPECT_EQ(contents(target_), before);
}

TEST_F(WorkFolderTest, RestartThrowsAnUnfinishedRunAway) {
  {
    WorkFolder folder = open();
    save(folder, 0, 2);
    folder.save_state("rotation", 1);
  }
  identity_.settings["seed"] = 5;
  WorkFolder folder = open(ResumeMode::kRestart);
  EXPECT_FALSE(folder.has_layer(0));
  EXPECT_FALSE(folder.load_state("rotation"));
}

TEST_F(WorkFolderTest, AFolderThatIsNoOutputOfOursIsRefusedAndUntouched) {
  for (const char* name : {"diary.txt", "config.json", "model.safetensors"}) {
    const test::TempDir foreign;
    std::ofstream(foreign.path() / name) << "mine";
    target_ = foreign.path();
    const auto before = contents(target_);
    for (const ResumeMode mode : {ResumeMode::kFresh, ResumeMode::kResume, ResumeMode::kRestart}) {
      const Error error = error_of([&] { open(mode); });
      EXPECT_EQ(error.code(), ErrorCode::kConflict);
      EXPECT_THAT(error.what(), HasSubstr(name));
      EXPECT_EQ(contents(target_), before);
      EXPECT_FALSE(fs::exists(target_ / ".haq-quantize"));
    }
  }
}

TEST_F(WorkFolderTest, ForeignModelFilesAreNeverMixedIn) {
  {
    WorkFolder folder = open();
    save_all(folder);
  }
  for (const char* name : {"model.safetensors", "config.json"}) {
    std::ofstream(target_ / name) << "mine";
    for (const ResumeMode mode : {ResumeMode::kResume, ResumeMode::kRestart}) {
      const Error error = error_of([&] { open(mode); });
      EXPECT_EQ(error.code(), ErrorCode::kConflict);
      EXPECT_THAT(error.what(), HasSubstr(name));
    }
    EXPECT_EQ(read_text_file(target_ / name, 100), "mine");
    fs::remove(target_ / name);
    WorkFolder folder = open(ResumeMode::kRestart);
    save_all(folder);
  }
  WorkFolder folder = open(ResumeMode::kResume);
  std::ofstream(target_ / "model.safetensors") << "mine";
  EXPECT_EQ(error_of([&] { finish(folder); }).code(), ErrorCode::kConflict);
}

TEST_F(WorkFolderTest, SourceAndTargetMustLieApart) {
  const fs::path copy = temporary_.path() / "models/source";
  fs::create_directories(copy.parent_path());
  fs::copy(source_, copy, fs::copy_options::recursive);
  source_ = copy;
  fs::create_directory_symlink(copy, temporary_.path() / "link");
  const auto before = contents(copy);
  for (const fs::path& target :
       {copy, copy / "out", copy / "a/../b", copy.parent_path(), temporary_.path() / "link",
        temporary_.path() / "link/out", temporary_.path() / "link/.."}) {
    target_ = target;
    const Error error = error_of([&] { open(); });
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument) << target;
    EXPECT_THAT(error.what(), HasSubstr("source model's"));
  }
  target_ = copy / "config.json";
  EXPECT_EQ(error_of([&] { open(); }).code(), ErrorCode::kInvalidArgument);
  target_ = temporary_.path() / "file";
  std::ofstream(target_) << "x";
  EXPECT_EQ(error_of([&] { open(); }).code(), ErrorCode::kInvalidArgument);
  target_.clear();
  EXPECT_EQ(error_of([&] { open(); }).code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(contents(copy), before);
  target_ = temporary_.path() / "models/source-w8a8";
  open();
}

TEST_F(WorkFolderTest, AHiddenFolderThatIsALinkIsRefused) {
  const fs::path elsewhere = temporary_.path() / "elsewhere";
  fs::create_directories(elsewhere);
  std::ofstream(elsewhere / "layer-0000.safetensors") << "mine";
  fs::create_directories(target_);
  fs::create_directory_symlink(elsewhere, target_ / ".haq-quantize");
  for (const ResumeMode mode : {ResumeMode::kFresh, ResumeMode::kRestart}) {
    EXPECT_EQ(error_of([&] { open(mode); }).code(), ErrorCode::kConflict);
  }
  EXPECT_TRUE(fs::exists(elsewhere / "layer-0000.safetensors"));
}

TEST_F(WorkFolderTest, ARunThatDidNothingLeavesNothing) {
  {
    WorkFolder folder = open();
    EXPECT_TRUE(fs::is_directory(folder.scratch()));
    std::ofstream(folder.scratch() / "spill") << "x";
  }
  EXPECT_FALSE(fs::exists(target_));
  fs::create_directories(target_);
  open();
  EXPECT_TRUE(fs::exists(target_)) << "the user's own empty folder stays";
  EXPECT_TRUE(fs::is_empty(target_));
}

TEST_F(WorkFolderTest, AKilledRunThatDidNothingDoesNotStandInTheWay) {
  const pid_t child = ::fork();
  if (child == 0) {
    const WorkFolder folder = open();
    ::_exit(0);  // as a kill: no destructor runs
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(fs::exists(target_ / ".haq-quantize/run.json"));
  EXPECT_FALSE(WorkFolder::inspect(target_).running);
  identity_.settings["seed"] = 9;
  open();
  EXPECT_TRUE(fs::is_empty(target_));
}

TEST_F(WorkFolderTest, ANewerOrDamagedRunFileIsRefused) {
  {
    WorkFolder folder = open();
    save(folder, 0, 1);
  }
  const fs::path file = target_ / ".haq-quantize/run.json";
  const std::string text = read_text_file(file, 1 << 20);
  std::ofstream(file) << "{\"schema\": 99}";
  EXPECT_EQ(error_of([&] { open(ResumeMode::kResume); }).code(), ErrorCode::kConflict);
  std::ofstream(file) << text.substr(0, text.size() / 2);
  const Error damaged = error_of([&] { open(ResumeMode::kResume); });
  EXPECT_EQ(damaged.code(), ErrorCode::kCorrupt);
  EXPECT_THAT(damaged.hint(), HasSubstr("--restart"));
  std::string forged = text;
  forged.replace(forged.find("\"seed\": 1"), 9, "\"seed\": 7");
  std::ofstream(file) << forged;
  EXPECT_EQ(error_of([&] { open(ResumeMode::kResume); }).code(), ErrorCode::kCorrupt);
  WorkFolder folder = open(ResumeMode::kRestart);
  EXPECT_FALSE(folder.has_layer(0));
}

TEST_F(WorkFolderTest, InspectTellsWhatIsThere) {
  EXPECT_FALSE(WorkFolder::inspect(target_).exists);
  {
    WorkFolder folder = open();
    save(folder, 0, 1);
    folder.save_layer(outputs_.globals);
    const auto status = WorkFolder::inspect(target_);
    EXPECT_TRUE(status.exists);
    EXPECT_TRUE(status.running);
    EXPECT_FALSE(status.finished);
    EXPECT_EQ(status.layers_done, 1);
    EXPECT_EQ(status.layers, outputs_.count());
    EXPECT_EQ(status.run_hash, identity_.hash());
    EXPECT_EQ(status.settings["seed"], 1);
    save_all(folder);
    finish(folder);
  }
  const auto status = WorkFolder::inspect(target_);
  EXPECT_TRUE(status.finished);
  EXPECT_EQ(status.run_hash, identity_.hash());
  const auto foreign = WorkFolder::inspect(source_);
  EXPECT_TRUE(foreign.exists);
  EXPECT_FALSE(foreign.finished) << "a model, but not one that this program wrote";
}

TEST_F(WorkFolderTest, AFolderThatCannotBeMadeIsNamed) {
  target_ = "/proc/self/out";
  const Error error = error_of([&] { open(); });
  EXPECT_EQ(error.code(), ErrorCode::kIo);
  EXPECT_THAT(error.what(), HasSubstr("/proc/self/out"));
}

TEST_F(WorkFolderTest, ALayerWithTensorsThatContradictThemselvesIsADefect) {
  WorkFolder folder = open();
  LayerOutput wrong = outputs_.layer(0);
  wrong.tensors.front().bytes.pop_back();
  EXPECT_EQ(error_of([&] { folder.save_layer(wrong); }).code(), ErrorCode::kInternal);
  wrong = outputs_.layer(0);
  wrong.tensors.push_back(wrong.tensors.front());
  EXPECT_EQ(error_of([&] { folder.save_layer(wrong); }).code(), ErrorCode::kInternal);
  wrong.layer = outputs_.count();
  EXPECT_EQ(error_of([&] { folder.save_layer(wrong); }).code(), ErrorCode::kInternal);
  EXPECT_FALSE(folder.has_layer(0));
}

}  // namespace
}  // namespace haq::quant
