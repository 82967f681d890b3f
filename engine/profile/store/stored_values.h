// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <string>
#include <string_view>

namespace haq::profile {

/// Throws kInvalidArgument unless the name is 1 to 200 characters of UTF-8 without control
/// characters. `kind` ("a recording") is for the message.
void check_stored_name(const std::string& name, const char* kind);

/// Throws kInvalidArgument unless `text` is a JSON object; `what` names it in the message.
void check_json_object(std::string_view text, std::string_view what);

}  // namespace haq::profile
