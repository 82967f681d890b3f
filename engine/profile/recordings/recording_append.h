// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <string>

#include "engine/base/progress.h"
#include "engine/profile/recordings/recordings.h"

namespace haq::profile {

/// A recording is continued in one of its own, so that a kill leaves both readable, and joined to
/// the old one when it has ended.

/// A name that is free, made of `name` ("name (2)", ...).
std::string continuation_name(Recordings& recordings, const std::string& name);

/// `name` becomes the tokens of `name` and, behind them, of `part`; `part` is gone. A kill between
/// leaves all tokens in the database, maybe under two names. Throws what merge() throws, with
/// nothing changed.
void join_continuation(Recordings& recordings, const std::string& name, const std::string& part,
                       const ProgressCallback& progress = {}, const CancelToken& cancel = {});

}  // namespace haq::profile
