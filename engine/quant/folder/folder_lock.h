// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <filesystem>

namespace haq::quant {

/// Advisory lock of one run on its folder (an open-file-description lock of Linux): held while the
/// object lives, dropped by the kernel when the process dies, seen by other objects of this process
/// too. The file may be unlinked while the lock is held.
class FolderLock {
 public:
  /// Creates `file`. Throws kConflict, naming `shown`, when another object holds it.
  FolderLock(const std::filesystem::path& file, const std::filesystem::path& shown);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

  /// Whether somebody holds it; takes nothing, so it never disturbs a start.
  static bool held(const std::filesystem::path& file);

 private:
  int descriptor_ = -1;
};

}  // namespace haq::quant
