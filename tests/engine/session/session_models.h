// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <filesystem>
#include <memory>

#include "engine/session/session.h"
#include "tests/support/paths.h"

namespace haq::test {

inline std::filesystem::path demo_folder() {
  return source_dir() / "resources/models/demo-moe";
}
inline std::filesystem::path stories_folder() {
  return shared_dir() / "models/stories260k";
}

inline std::shared_ptr<session::Model> load_fp32(const std::filesystem::path& folder,
                                                 int prefill_chunk = 512, int threads = 2) {
  session::LoadOptions options;
  options.folder = folder;
  options.compute = nn::Compute::kFp32;
  options.threads = threads;
  options.prefill_chunk = prefill_chunk;
  return session::Model::load(options);
}

/// The demo model in the checking mode, loaded once per test program.
inline std::shared_ptr<session::Model> demo_model() {
  static const std::shared_ptr<session::Model> model = load_fp32(demo_folder());
  return model;
}

}  // namespace haq::test
