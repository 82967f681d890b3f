// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/store.h"

#include <ctime>

#include "app/cli/console.h"
#include "app/cli/traces.h"
#include "engine/base/error.h"

namespace haq::cli {

bool have_database(const Arguments& arguments) {
  if (std::filesystem::exists(database_path(arguments))) return true;
  if (!arguments.given("--db")) return false;
  throw Error(ErrorCode::kNotFound, fmt::format("{} does not exist", arguments.text("--db")),
              "check the path");
}

profile::StoreFile open_store_to_read(const Arguments& arguments) {
  return profile::StoreFile::open_to_read(database_path(arguments));
}

profile::StoreFile open_store(const Arguments& arguments) {
  profile::StoreFile store =
      profile::StoreFile::open(database_path(arguments), profile::Database::Access::kReadWrite);
  for (const std::string& notice : store.notices) note(arguments, notice);
  return store;
}

std::string time_text(std::int64_t milliseconds) {
  const std::time_t seconds = milliseconds / 1000;
  struct tm local = {};
  localtime_r(&seconds, &local);
  char buffer[32];
  const std::size_t size = std::strftime(buffer, sizeof buffer, "%Y-%m-%d %H:%M", &local);
  return {buffer, size};
}

}  // namespace haq::cli
