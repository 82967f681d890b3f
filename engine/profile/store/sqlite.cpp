// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/profile/store/sqlite.h"

#include <sqlite3.h>

#include "engine/base/log.h"

namespace haq::profile {
namespace {

ErrorCode code_of(int extended) {
  switch (extended & 0xff) {
    case SQLITE_FULL:
      return ErrorCode::kNoSpace;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_FORMAT:
      return ErrorCode::kCorrupt;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return ErrorCode::kConflict;
    case SQLITE_NOMEM:
      return ErrorCode::kOutOfMemory;
    case SQLITE_TOOBIG:
      return ErrorCode::kLimit;
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
    case SQLITE_RANGE:
      return ErrorCode::kInvalidArgument;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return ErrorCode::kIo;
    default:
      return ErrorCode::kInternal;
  }
}

std::string hint_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::kNoSpace:
      return "free some space on this disk and try again";
    case ErrorCode::kConflict:
      return "close the other program that uses this file";
    case ErrorCode::kIo:
      return "check that the file and its folder can be read and written";
    default:
      return {};
  }
}

[[noreturn]] void fail_sqlite(sqlite3* handle, const std::string& name) {
  const int extended = handle != nullptr ? sqlite3_extended_errcode(handle) : SQLITE_NOMEM;
  const ErrorCode code = code_of(extended);
  const char* why = handle != nullptr ? sqlite3_errmsg(handle) : "out of memory";
  throw Error(code, fmt::format("{}: {} (SQLite code {})", name, why, extended), hint_of(code));
}

}  // namespace

void Statement::Finalizer::operator()(sqlite3_stmt* statement) const noexcept {
  // The result repeats the last step's error, which has already been reported.
  (void)sqlite3_finalize(statement);
}

Statement& Statement::bind(int index, std::int64_t value) {
  if (sqlite3_bind_int64(statement_.get(), index, value) != SQLITE_OK) {
    fail_sqlite(sqlite3_db_handle(statement_.get()), name_);
  }
  return *this;
}

Statement& Statement::bind(int index, std::string_view text) {
  // A null pointer would bind NULL, so an empty view points at an empty string.
  const char* data = text.empty() ? "" : text.data();
  if (sqlite3_bind_text64(statement_.get(), index, data, text.size(), SQLITE_TRANSIENT,
                          SQLITE_UTF8) != SQLITE_OK) {
    fail_sqlite(sqlite3_db_handle(statement_.get()), name_);
  }
  return *this;
}

Statement& Statement::bind_null(int index) {
  if (sqlite3_bind_null(statement_.get(), index) != SQLITE_OK) {
    fail_sqlite(sqlite3_db_handle(statement_.get()), name_);
  }
  return *this;
}

Statement& Statement::bind_real(int index, double value) {
  if (sqlite3_bind_double(statement_.get(), index, value) != SQLITE_OK) {
    fail_sqlite(sqlite3_db_handle(statement_.get()), name_);
  }
  return *this;
}

Statement& Statement::bind_blob(int index, std::span<const std::byte> bytes) {
  // A null pointer would bind NULL, so an empty blob points somewhere.
  const void* data = bytes.empty() ? static_cast<const void*>("") : bytes.data();
  if (sqlite3_bind_blob64(statement_.get(), index, data, bytes.size(), SQLITE_STATIC) !=
      SQLITE_OK) {
    fail_sqlite(sqlite3_db_handle(statement_.get()), name_);
  }
  return *this;
}

bool Statement::step() {
  const int result = sqlite3_step(statement_.get());
  if (result == SQLITE_ROW) return true;
  if (result == SQLITE_DONE) return false;
  fail_sqlite(sqlite3_db_handle(statement_.get()), name_);
}

void Statement::run() {
  while (step()) {
  }
}

Statement& Statement::reset() {
  // The result repeats the last step's error, which has already been reported.
  (void)sqlite3_reset(statement_.get());
  return *this;
}

std::int64_t Statement::integer(int column) const {
  return sqlite3_column_int64(statement_.get(), column);
}

double Statement::real(int column) const {
  return sqlite3_column_double(statement_.get(), column);
}

std::string Statement::text(int column) const {
  const auto* data = sqlite3_column_text(statement_.get(), column);
  if (data == nullptr) return {};
  return {reinterpret_cast<const char*>(data),
          static_cast<std::size_t>(sqlite3_column_bytes(statement_.get(), column))};
}

bool Statement::is_null(int column) const {
  return sqlite3_column_type(statement_.get(), column) == SQLITE_NULL;
}

std::span<const std::byte> Statement::blob(int column) const {
  // In this order: the pointer's type fixes what the length counts.
  const void* data = sqlite3_column_blob(statement_.get(), column);
  const int size = sqlite3_column_bytes(statement_.get(), column);
  return {static_cast<const std::byte*>(data),
          data == nullptr ? 0 : static_cast<std::size_t>(size)};
}

void Database::Closer::operator()(sqlite3* handle) const noexcept {
  (void)sqlite3_close_v2(handle);
}

Database Database::open(const std::filesystem::path& path, Access access) {
  Database database(path);
  const int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE |
                    (access == Access::kReadOnly ? SQLITE_OPEN_READONLY
                                                 : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
  sqlite3* handle = nullptr;
  const int result = sqlite3_open_v2(path.c_str(), &handle, flags, nullptr);
  database.handle_.reset(handle);
  if (result != SQLITE_OK) fail_sqlite(handle, path.string());
  sqlite3_busy_timeout(handle, 2000);
  // A database is untrusted input: no functions with side effects from its schema, no writes to
  // shadow tables.
  sqlite3_db_config(handle, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  database.exec("PRAGMA foreign_keys = ON; PRAGMA cell_size_check = ON");
  if (access == Access::kReadWrite) {
    database.exec("PRAGMA secure_delete = ON");
    const std::string mode = database.query_text("PRAGMA journal_mode = WAL");
    if (mode != "wal")
      log::warn(fmt::format("{}: journal mode is {}, not WAL", path.string(), mode));
    database.exec("PRAGMA synchronous = NORMAL");
  } else if (access == Access::kPrivate) {
    database.exec("PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF");
  }
  return database;
}

void Database::exec(const std::string& sql) {
  if (sqlite3_exec(handle_.get(), sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) {
    fail_sqlite(handle_.get(), path_.string());
  }
}

Statement Database::prepare(std::string_view sql) {
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_prepare_v2(handle_.get(), sql.data(), static_cast<int>(sql.size()), &statement,
                         nullptr) != SQLITE_OK) {
    fail_sqlite(handle_.get(), path_.string());
  }
  return Statement(statement, path_.string());
}

std::int64_t Database::query_integer(std::string_view sql) {
  Statement statement = prepare(sql);
  if (!statement.step()) fail(ErrorCode::kCorrupt, "{}: no answer to \"{}\"", path_.string(), sql);
  return statement.integer(0);
}

std::string Database::query_text(std::string_view sql) {
  Statement statement = prepare(sql);
  if (!statement.step()) fail(ErrorCode::kCorrupt, "{}: no answer to \"{}\"", path_.string(), sql);
  return statement.text(0);
}

std::int64_t Database::last_insert_id() const {
  return sqlite3_last_insert_rowid(handle_.get());
}

std::int64_t Database::changes() const {
  return sqlite3_changes64(handle_.get());
}

Transaction::Transaction(Database& database) : database_(database) {
  database_.exec("BEGIN IMMEDIATE");
}

Transaction::~Transaction() {
  if (!open_) return;
  try {
    database_.exec("ROLLBACK");
  } catch (const Error& error) {
    // SQLite has already rolled back by itself after a full disk or an input/output error.
    log::debug(error.what());
  }
}

void Transaction::commit() {
  database_.exec("COMMIT");
  open_ = false;
}

}  // namespace haq::profile
