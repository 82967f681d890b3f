// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "app/cli/options.h"
#include "engine/profile/store/store_file.h"

/// How commands reach the user's database.
namespace haq::cli {

/// A person who has never recorded or chatted has no database yet: false. Throws kNotFound when
/// --db names a file that is not there.
bool have_database(const Arguments& arguments);

/// For reading, also beside a window that is open.
profile::StoreFile open_store_to_read(const Arguments& arguments);
/// For writing, as the only writer; what opening remarks goes to stderr.
profile::StoreFile open_store(const Arguments& arguments);

}  // namespace haq::cli
