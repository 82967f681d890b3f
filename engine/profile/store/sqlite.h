// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "engine/base/error.h"

struct sqlite3;
struct sqlite3_stmt;

namespace haq::profile {

/// One prepared statement. Parameters are numbered from 1, columns from 0, as in SQLite.
/// Must not outlive its Database; used by one thread at a time.
class Statement {
 public:
  Statement(Statement&&) noexcept = default;
  Statement& operator=(Statement&&) noexcept = default;

  Statement& bind(int index, std::int64_t value);
  Statement& bind(int index, std::string_view text);  ///< copied; may hold NUL bytes
  Statement& bind_null(int index);
  Statement& bind_real(int index, double value);  ///< a NaN becomes NULL
  /// Not copied: must stay where it is until reset(), another bind, or the end of the statement.
  Statement& bind_blob(int index, std::span<const std::byte> bytes);
  /// True when there is a row, false at the end.
  bool step();
  /// Runs a statement that returns no rows of interest.
  void run();
  /// Makes the statement ready to run again. What is bound stays bound.
  Statement& reset();

  std::int64_t integer(int column) const;
  double real(int column) const;
  std::string text(int column) const;  ///< empty for NULL
  bool is_null(int column) const;
  std::span<const std::byte> blob(int column) const;  ///< valid until the next step or reset

 private:
  friend class Database;
  struct Finalizer {
    void operator()(sqlite3_stmt* statement) const noexcept;
  };
  Statement(sqlite3_stmt* statement, const std::string& name)
      : statement_(statement), name_(name) {}
  std::unique_ptr<sqlite3_stmt, Finalizer> statement_;
  std::string name_;
};

/// An open SQLite connection. Every failure is thrown as haq::Error naming the file: SQLITE_FULL as
/// kNoSpace, CORRUPT and NOTADB as kCorrupt, BUSY and LOCKED as kConflict, the rest by kind.
/// Used by one thread at a time.
class Database {
 public:
  enum class Access {
    kReadWrite,
    kReadOnly,
    kPrivate,  ///< writes a file that nobody else knows yet and that is synced as a whole later
  };

  /// Opens the file; kReadWrite and kPrivate create it. Sets foreign keys, the busy timeout (2 s),
  /// defensive mode and an untrusted schema; kReadWrite also WAL with synchronous = NORMAL.
  static Database open(const std::filesystem::path& path, Access access);
  Database(Database&&) noexcept = default;
  Database& operator=(Database&&) noexcept = default;

  void exec(const std::string& sql);
  Statement prepare(std::string_view sql);
  /// First column of the first row; throws kCorrupt when there is none.
  std::int64_t query_integer(std::string_view sql);
  std::string query_text(std::string_view sql);

  std::int64_t last_insert_id() const;
  std::int64_t changes() const;  ///< rows changed by the last statement
  const std::filesystem::path& path() const { return path_; }

 private:
  struct Closer {
    void operator()(sqlite3* handle) const noexcept;
  };
  explicit Database(std::filesystem::path path) : path_(std::move(path)) {}
  std::filesystem::path path_;
  std::unique_ptr<sqlite3, Closer> handle_;
};

/// BEGIN IMMEDIATE ... COMMIT; rolled back unless committed.
class Transaction {
 public:
  explicit Transaction(Database& database);
  ~Transaction();
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  void commit();

 private:
  Database& database_;
  bool open_ = true;
};

}  // namespace haq::profile
