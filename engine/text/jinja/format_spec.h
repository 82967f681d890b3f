// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "engine/text/jinja/value.h"

namespace haq::text::jinja {

/// One conversion of Python's "%" operator or of str.format.
struct FormatSpec {
  Str fill = Str(" ");
  char align = '\0';  ///< '<', '>', '^', '=' or none
  char sign = '-';    ///< '+', ' ' or '-'
  bool alternate = false;
  char grouping = '\0';  ///< ',' or '_'
  std::int64_t width = 0;
  std::optional<std::int64_t> precision;
  char type = '\0';
};

/// A number as the conversion's type asks for (d, o, x, X, b, c, e, f, g, %, n or none), padded.
/// Throws for a type that does not fit the value.
Str format_number(const Value& value, const FormatSpec& spec);
/// A string, cut to the precision and padded.
Str format_text(const Str& text, const FormatSpec& spec);

}  // namespace haq::text::jinja
