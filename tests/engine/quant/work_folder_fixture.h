// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <string>

#include "engine/base/file.h"
#include "engine/quant/folder/work_folder.h"
#include "tests/engine/quant/layer_outputs.h"
#include "tests/support/golden.h"
#include "tests/support/paths.h"

namespace haq::quant {

/// Every file of a folder, by its path below it.
inline std::map<std::string, std::string> contents(const std::filesystem::path& folder) {
  namespace fs = std::filesystem;
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    files[fs::relative(entry.path(), folder).string()] =
        read_text_file(entry.path(), std::size_t{1} << 30);
  }
  return files;
}

/// A golden model, its plainly rounded layers, and a folder to write to.
class WorkFolderTest : public testing::Test {
 protected:
  explicit WorkFolderTest(const std::string& name = "mixtral")
      : source_(test::golden_model_dir(name)),
        outputs_(test::plain_outputs(model::Checkpoint::open(source_))) {
    identity_.source_fingerprint = outputs_.source->fingerprint();
    identity_.calibration_fingerprint = "0123456789abcdef0123456789abcdef";
    identity_.settings["method"] = "rtn";
    identity_.settings["seed"] = 1;
  }

  WorkFolder open(ResumeMode mode = ResumeMode::kFresh) {
    return {target_, source_, identity_, mode};
  }
  void save(WorkFolder& folder, int first, int last) {
    for (int layer = first; layer < last; ++layer) folder.save_layer(outputs_.layer(layer));
  }
  void save_all(WorkFolder& folder) { save(folder, -1, outputs_.count()); }
  std::vector<std::string> finish(WorkFolder& folder, std::uint64_t shard_bytes = 1 << 30,
                                  const ProgressCallback& progress = {},
                                  const CancelToken& cancel = {}) {
    model::ModelConfig config = outputs_.source->config();
    return folder.finish(*outputs_.source, config, false, outputs_.ignore,
                         {{"haq.version", "test"}, {"haq.method", "rtn"}}, shard_bytes, progress,
                         cancel);
  }
  /// A whole run without any interruption.
  void write_model(std::uint64_t shard_bytes = 1 << 30) {
    WorkFolder folder = open();
    save_all(folder);
    finish(folder, shard_bytes);
  }

  test::TempDir temporary_;
  std::filesystem::path target_ = temporary_.path() / "out";
  std::filesystem::path source_;
  test::PlainOutputs outputs_;
  RunIdentity identity_;
};

}  // namespace haq::quant
