// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <string>

#include "engine/text/jinja/value.h"

namespace haq::text::jinja {

/// Python's repr of a float: the shortest digits that read back equal.
std::string format_float(double value);

/// Python's str(value); an undefined value gives nothing. Text inside keeps its origin, the
/// brackets and quotes around it have the origin of their container.
Str to_str(const Value& value);
void append_str(StrBuilder& out, const Value& value);
/// Python's repr(value).
void append_repr(StrBuilder& out, const Value& value);
std::string repr(const Value& value);

struct JsonStyle {
  bool ensure_ascii = false;
  bool sort_keys = false;
  bool indented = false;
  Str indent;  ///< one level of indentation
  Str item_separator = Str(", ");
  Str key_separator = Str(": ");
};

/// Python's json.dumps. Throws for values that JSON cannot hold (undefined, functions).
void append_json(StrBuilder& out, const Value& value, const JsonStyle& style);

}  // namespace haq::text::jinja
