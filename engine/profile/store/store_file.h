// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "engine/profile/store/sqlite.h"

namespace haq::profile {

/// Advisory lock (flock) on a file of its own beside the database, held by the one program that
/// writes. The kernel drops it when the holder dies, so there are no stale locks.
class WriterLock {
 public:
  /// Throws kConflict when another process, or another object of this one, holds it.
  explicit WriterLock(const std::filesystem::path& database);
  ~WriterLock();
  WriterLock(WriterLock&& other) noexcept;
  WriterLock& operator=(WriterLock&&) = delete;

 private:
  int descriptor_ = -1;
};

/// The user's database file, locked, checked and brought to the current schema.
struct StoreFile {
  std::optional<WriterLock> lock;  ///< empty when opened read-only
  Database database;
  std::vector<std::string> notices;  ///< sentences for the user (a damaged file was kept aside)

  /// kReadWrite: makes the folder and the file when missing. A damaged file, with its -wal, is
  /// renamed to NAME.corrupt-YYYYMMDD-HHMMSS and a new one begun, with a notice. A file of a newer
  /// version, or of another program, is left untouched: kConflict. Recordings that a dead program
  /// left unfinished become "interrupted".
  /// kReadOnly: needs no lock and works beside a writer; throws kNotFound or kCorrupt, changes
  /// nothing.
  static StoreFile open(const std::filesystem::path& path, Database::Access access);
  /// kReadOnly, after bringing an older file up to date, for which it is locked for a moment.
  static StoreFile open_to_read(const std::filesystem::path& path);
  /// One more connection of a program that holds the writer's lock already, as a window does while
  /// it records: no lock, no recovery. Transactions of the two wait for each other (2 s at most,
  /// then kConflict). Throws as kReadOnly does.
  static StoreFile join(const std::filesystem::path& path);
};

/// The schema version that this program writes (PRAGMA user_version).
int schema_version();

}  // namespace haq::profile
