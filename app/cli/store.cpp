// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/store.h"

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

}  // namespace haq::cli
