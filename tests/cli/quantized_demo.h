// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "engine/model/checkpoint.h"
#include "tests/support/paths.h"
#include "tests/support/quantized_folder.h"

namespace haq::test {

/// A plainly rounded W8A8 copy of the demo model (6 layers of 16 experts, 2 of them used), made
/// once per suite.
class QuantizedDemoTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new TempDir;
    write_quantized_folder(model::demo_model_dir(), folder_->path() / "model");
  }
  static void TearDownTestSuite() {
    delete folder_;
    folder_ = nullptr;
  }
  static std::string model_folder() { return (folder_->path() / "model").string(); }
  /// A path beside the model that is gone after the suite.
  static std::string beside(const std::string& name) { return (folder_->path() / name).string(); }

 private:
  static inline TempDir* folder_ = nullptr;
};

}  // namespace haq::test
