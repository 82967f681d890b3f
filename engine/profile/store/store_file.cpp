// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/profile/store/store_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <utility>
#include <vector>

#include "engine/base/clock.h"
#include "engine/profile/recordings/recordings.h"
#include "engine/profile/store/schema.h"

namespace haq::profile {

namespace fs = std::filesystem;

namespace {

/// The fields of a SQLite file header that say whose file it is
/// (https://www.sqlite.org/fileformat2.html §1.3). Read without SQLite, which may already write to
/// a file when it opens it.
struct Header {
  bool sqlite = false;
  std::int64_t user_version = 0;
  std::int64_t application_id = 0;
};

std::int64_t big_endian_32(const unsigned char* bytes) {
  return static_cast<std::int32_t>(std::uint32_t{bytes[0]} << 24 | std::uint32_t{bytes[1]} << 16 |
                                   std::uint32_t{bytes[2]} << 8 | bytes[3]);
}

Header read_header(const fs::path& path) {
  std::array<char, 100> bytes{};
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    throw Error(ErrorCode::kIo,
                fmt::format("{}: cannot open: {}", path.string(), std::strerror(errno)),
                "check that the file can be read");
  }
  file.read(bytes.data(), bytes.size());
  Header header;
  header.sqlite = file.gcount() == static_cast<std::streamsize>(bytes.size()) &&
                  std::memcmp(bytes.data(), "SQLite format 3", 16) == 0;
  const auto* raw = reinterpret_cast<const unsigned char*>(bytes.data());
  header.user_version = big_endian_32(raw + 60);
  header.application_id = big_endian_32(raw + 68);
  return header;
}

void check_owner(const fs::path& path, std::int64_t version, std::int64_t application) {
  if (application != 0 && application != kApplicationId) {
    throw Error(
        ErrorCode::kConflict,
        fmt::format("{}: this SQLite file belongs to another program (application id {:#x}, "
                    "expected {:#x})",
                    path.string(), application, kApplicationId),
        "choose another file with --db");
  }
  if (version > schema_version()) {
    throw Error(ErrorCode::kConflict,
                fmt::format("{}: written by a newer version of this program (schema {}, this one "
                            "knows up to {}); it was left untouched",
                            path.string(), version, schema_version()),
                "update the program, or choose another file with --db");
  }
}

/// Renames the database and its side files; returns the new name.
fs::path move_aside(const fs::path& path) {
  const std::string stamp = utc_file_text(now_ms());
  fs::path target = path;
  target += fmt::format(".corrupt-{}", stamp);
  for (int number = 2; fs::exists(target); ++number) {
    target = path;
    target += fmt::format(".corrupt-{}-{}", stamp, number);
  }
  for (const char* suffix : {"", "-wal", "-shm"}) {
    fs::path from = path;
    from += suffix;
    fs::path to = target;
    to += suffix;
    std::error_code error;
    if (!fs::exists(from, error)) continue;
    fs::rename(from, to, error);
    if (error) {
      throw Error(ErrorCode::kIo,
                  fmt::format("{}: damaged, and it cannot be renamed to {}: {}", from.string(),
                              to.string(), error.message()),
                  "move the file away by hand, or choose another with --db");
    }
  }
  return target;
}

void migrate(Database& database) {
  const std::int64_t version = database.query_integer("PRAGMA user_version");
  check_owner(database.path(), version, database.query_integer("PRAGMA application_id"));
  if (version < 0)
    fail(ErrorCode::kCorrupt, "{}: schema version {}", database.path().string(), version);
  if (version == 0 && database.query_integer("SELECT count(*) FROM sqlite_schema") != 0) {
    throw Error(
        ErrorCode::kConflict,
        fmt::format("{}: this SQLite file belongs to another program (it has tables, but no "
                    "schema version)",
                    database.path().string()),
        "choose another file with --db");
  }
  const auto scripts = migrations();
  for (auto step = static_cast<std::size_t>(version); step < scripts.size(); ++step) {
    Transaction transaction(database);
    database.exec(scripts[step]);
    database.exec(fmt::format("PRAGMA application_id = {}; PRAGMA user_version = {}",
                              kApplicationId, step + 1));
    transaction.commit();
  }
}

/// Looks through every table but that of recorded tokens: its rows are checked one by one when they
/// are read, and looking through a gigabyte of them would keep a window waiting for a second.
void check_tables(Database& database, const fs::path& path) {
  std::vector<std::string> tables = {"sqlite_schema"};
  Statement names = database.prepare(
      "SELECT replace(name, char(39), char(39) || char(39)) FROM sqlite_schema "
      "WHERE type = 'table' AND rootpage > 0 AND name <> 'recording_tokens'");
  while (names.step()) tables.push_back(names.text(0));
  for (const std::string& table : tables) {
    const std::string verdict = database.query_text(fmt::format("PRAGMA quick_check('{}')", table));
    if (verdict != "ok") fail(ErrorCode::kCorrupt, "{}: {}", path.string(), verdict);
  }
}

Database open_checked(const fs::path& path) {
  Database database = Database::open(path, Database::Access::kReadWrite);
  check_tables(database, path);
  migrate(database);
  Recordings(database).recover();
  return database;
}

/// A file that must be there, of the current schema; changes nothing.
Database open_current(const fs::path& path, Database::Access access) {
  std::error_code error;
  if (!fs::exists(path, error))
    fail(ErrorCode::kNotFound, "{}: there is no such database", path.string());
  const Header header = read_header(path);
  if (!header.sqlite) fail(ErrorCode::kCorrupt, "{}: not a SQLite database", path.string());
  check_owner(path, header.user_version, header.application_id);
  Database database = Database::open(path, access);
  const std::int64_t version = database.query_integer("PRAGMA user_version");
  if (version < schema_version()) {
    throw Error(
        ErrorCode::kConflict,
        fmt::format("{}: schema version {}, expected {}", path.string(), version, schema_version()),
        "open it once in the window, which brings it up to date");
  }
  return database;
}

}  // namespace

int schema_version() {
  return static_cast<int>(migrations().size());
}

WriterLock::WriterLock(const fs::path& database) {
  fs::path path = database;
  path += ".lock";
  descriptor_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (descriptor_ < 0) {
    throw Error(errno == ENOSPC ? ErrorCode::kNoSpace : ErrorCode::kIo,
                fmt::format("{}: cannot create: {}", path.string(), std::strerror(errno)),
                "check that the folder can be written, or choose another file with --db");
  }
  if (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
    const int number = errno;
    ::close(descriptor_);
    descriptor_ = -1;
    if (number == EWOULDBLOCK) {
      throw Error(
          ErrorCode::kConflict,
          fmt::format("{}: another running program writes to this database", database.string()),
          "close the other window, or choose another file with --db");
    }
    throw Error(ErrorCode::kIo,
                fmt::format("{}: cannot lock: {}", path.string(), std::strerror(number)),
                "choose a file on a local disk with --db");
  }
}

WriterLock::WriterLock(WriterLock&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)) {}

WriterLock::~WriterLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

StoreFile StoreFile::open_to_read(const fs::path& path) {
  std::error_code error;
  if (fs::is_regular_file(path, error)) {
    const Header header = read_header(path);
    if (header.sqlite && header.application_id == kApplicationId && header.user_version > 0 &&
        header.user_version < schema_version()) {
      open(path, Database::Access::kReadWrite);
    }
  }
  return open(path, Database::Access::kReadOnly);
}

StoreFile StoreFile::join(const fs::path& path) {
  return {std::nullopt, open_current(path, Database::Access::kReadWrite), {}};
}

StoreFile StoreFile::open(const fs::path& path, Database::Access access) {
  if (access == Database::Access::kReadOnly) {
    return {std::nullopt, open_current(path, access), {}};
  }

  std::error_code error;
  if (path.has_parent_path()) fs::create_directories(path.parent_path(), error);
  if (error) {
    throw Error(ErrorCode::kIo,
                fmt::format("{}: cannot create the folder: {}", path.parent_path().string(),
                            error.message()),
                "choose another file with --db");
  }
  std::optional<WriterLock> lock(std::in_place, path);
  std::vector<std::string> notices;
  std::string damage;
  if (fs::exists(path, error) && fs::file_size(path, error) > 0) {
    const Header header = read_header(path);
    if (!header.sqlite) {
      damage = "not a SQLite database";
    } else {
      check_owner(path, header.user_version, header.application_id);
    }
  }
  if (damage.empty()) {
    try {
      return {std::move(lock), open_checked(path), std::move(notices)};
    } catch (const Error& problem) {
      if (problem.code() != ErrorCode::kCorrupt) throw;
      damage = problem.what();
    }
  }
  const fs::path kept = move_aside(path);
  notices.push_back(
      fmt::format("The database {} was damaged ({}). It was kept as {}, and a new one "
                  "was begun.",
                  path.string(), damage, kept.filename().string()));
  return {std::move(lock), open_checked(path), std::move(notices)};
}

}  // namespace haq::profile
