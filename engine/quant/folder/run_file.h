// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "engine/quant/folder/work_folder.h"

namespace haq::quant {

/// run.json: which run the parts in a work folder belong to.
struct RunFile {
  static constexpr int kSchema = 1;
  RunIdentity identity;
  int layers = 0;

  void write(const std::filesystem::path& path) const;
  /// Untrusted. Throws kNotFound, kCorrupt naming the field, kConflict for a newer schema.
  static RunFile read(const std::filesystem::path& path);
};

/// What tells two runs apart, in words: "setting \"seed\": found 1, expected 2". Empty when equal.
std::vector<std::string> differences(const RunIdentity& found, const RunIdentity& expected);

}  // namespace haq::quant
