// SPDX-License-Identifier: GPL-3.0-or-later
// Methods of str that make other strings.
#include <algorithm>

#include "engine/text/jinja/builtins.h"
#include "engine/text/jinja/format.h"
#include "engine/text/jinja/unicode.h"

namespace haq::text::jinja {
namespace {

Value strip_method(const Value& self, const Arguments& arguments, bool left, bool right) {
  const Bound bound(arguments, "strip", {"chars"});
  std::optional<Str> chars;
  if (bound.has_value(0)) chars = require_string(bound[0], "strip");
  return strip(self.str(), chars, left, right);
}

Value method_strip(Interpreter&, const Value& self, const Arguments& arguments) {
  return strip_method(self, arguments, true, true);
}

Value method_lstrip(Interpreter&, const Value& self, const Arguments& arguments) {
  return strip_method(self, arguments, true, false);
}

Value method_rstrip(Interpreter&, const Value& self, const Arguments& arguments) {
  return strip_method(self, arguments, false, true);
}

Value method_upper(Interpreter&, const Value& self, const Arguments& arguments) {
  const Bound bound(arguments, "upper", {});
  return upper(self.str());
}

Value method_lower(Interpreter&, const Value& self, const Arguments&) {
  return lower(self.str());
}

Value method_capitalize(Interpreter&, const Value& self, const Arguments&) {
  return capitalize(self.str());
}

Value method_title(Interpreter&, const Value& self, const Arguments&) {
  const Str& text = self.str();
  const Str lowered = lower(text);
  StrBuilder out;
  std::size_t at = 0;
  bool previous_cased = false;
  // Walks both forms: lower() needs its context for the final sigma.
  std::size_t lowered_at = 0;
  while (at < text.size()) {
    const std::size_t begin = at;
    const CodePoint code = next_code_point(text.view(), at);
    std::string small;
    append_lower(small, code);
    if (previous_cased) {
      out.append(lowered, lowered_at, lowered_at + small.size());
    } else {
      std::string title;
      append_title(title, code);
      out.append(title, text.origin_at(begin));
    }
    lowered_at += small.size();
    previous_cased = is_cased(code);
  }
  return out.finish();
}

Value method_swapcase(Interpreter&, const Value& self, const Arguments&) {
  const Str& text = self.str();
  StrBuilder out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t begin = at;
    const CodePoint code = next_code_point(text.view(), at);
    std::string part;
    if (is_upper(code)) {
      append_lower(part, code);
    } else {
      append_upper(part, code);
    }
    out.append(part, text.origin_at(begin));
  }
  return out.finish();
}

Value method_casefold(Interpreter&, const Value& self, const Arguments&) {
  const Str& text = self.str();
  StrBuilder out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t begin = at;
    std::string part;
    append_fold(part, next_code_point(text.view(), at));
    out.append(part, text.origin_at(begin));
  }
  return out.finish();
}

Value method_replace(Interpreter&, const Value& self, const Arguments& arguments) {
  const Bound bound(arguments, "replace", {"old", "new", "count"}, 2);
  return replace(self.str(), require_string(bound[0], "replace"),
                 require_string(bound[1], "replace"), bound.integer(2, -1));
}

Value method_join(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
  const Bound bound(arguments, "join", {"iterable"}, 1);
  const ListPtr all = interpreter.items(bound[0]);
  std::vector<Str> parts;
  for (const Value& item : all->items) {
    if (!item.is_string()) {
      fail_value("sequence item {}: expected str instance, {} found", parts.size(),
                 type_name(item));
    }
    parts.push_back(item.str());
  }
  return join(parts, self.str());
}

Value method_splitlines(Interpreter&, const Value& self, const Arguments& arguments) {
  const Bound bound(arguments, "splitlines", {"keepends"});
  std::vector<Value> lines;
  for (Str& line : split_lines(self.str(), bound.boolean(0, false))) {
    lines.emplace_back(std::move(line));
  }
  return make_list(std::move(lines));
}

/// ljust, rjust and center: how many blanks go on which side.
Value pad(const Value& self, const Arguments& arguments, std::string_view name, int side) {
  const Bound bound(arguments, name, {"width", "fillchar"}, 1);
  const Str& text = self.str();
  const std::int64_t width = bound.integer(0, 0);
  const Str fill = bound.string(1, " ");
  if (fill.length() != 1) fail_value("the fill character must be exactly one character long");
  const auto length = static_cast<std::int64_t>(text.length());
  if (width <= length) return text;
  const std::int64_t space = width - length;
  const std::int64_t left = side < 0 ? 0 : side > 0 ? space : space / 2 + (space & width & 1);
  return join({repeat(fill, left), text, repeat(fill, space - left)}, Str());
}

Value method_ljust(Interpreter&, const Value& self, const Arguments& arguments) {
  return pad(self, arguments, "ljust", -1);
}

Value method_rjust(Interpreter&, const Value& self, const Arguments& arguments) {
  return pad(self, arguments, "rjust", 1);
}

Value method_center(Interpreter&, const Value& self, const Arguments& arguments) {
  return pad(self, arguments, "center", 0);
}

Value method_zfill(Interpreter&, const Value& self, const Arguments& arguments) {
  const Bound bound(arguments, "zfill", {"width"}, 1);
  const Str& text = self.str();
  const std::int64_t width = bound.integer(0, 0);
  const auto length = static_cast<std::int64_t>(text.length());
  if (width <= length) return text;
  const bool sign = text.view().starts_with('-') || text.view().starts_with('+');
  const std::size_t skip = sign ? 1 : 0;
  return join(
      {text.slice(0, skip), repeat(Str("0"), width - length), text.slice(skip, text.size())},
      Str());
}

Value method_expandtabs(Interpreter&, const Value& self, const Arguments& arguments) {
  const Bound bound(arguments, "expandtabs", {"tabsize"});
  const std::int64_t size = bound.integer(0, 8);
  const Str& text = self.str();
  StrBuilder out;
  std::int64_t column = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t begin = at;
    const CodePoint code = next_code_point(text.view(), at);
    if (code == '\t') {
      const std::int64_t blanks = size > 0 ? size - column % size : 0;
      out.append(repeat(Str(" ", text.origin_at(begin)), blanks));
      column += blanks;
    } else {
      out.append(text, begin, at);
      column = code == '\n' || code == '\r' ? 0 : column + 1;
    }
  }
  return out.finish();
}

Value method_removeprefix(Interpreter&, const Value& self, const Arguments& arguments) {
  const Bound bound(arguments, "removeprefix", {"prefix"}, 1);
  const Str& prefix = require_string(bound[0], "removeprefix");
  const Str& text = self.str();
  return text.view().starts_with(prefix.view()) ? text.slice(prefix.size(), text.size()) : text;
}

Value method_removesuffix(Interpreter&, const Value& self, const Arguments& arguments) {
  const Bound bound(arguments, "removesuffix", {"suffix"}, 1);
  const Str& suffix = require_string(bound[0], "removesuffix");
  const Str& text = self.str();
  return text.view().ends_with(suffix.view()) ? text.slice(0, text.size() - suffix.size()) : text;
}

Value method_format(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
  return brace_format(interpreter, self.str(), arguments);
}

Value method_format_map(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
  const Bound bound(arguments, "format_map", {"mapping"}, 1);
  require_defined(bound[0]);
  if (!bound[0].is_dict()) fail_value("format_map: expected a dict, got {}", type_name(bound[0]));
  Arguments named;
  for (const auto& [key, value] : bound[0].dict().entries) {
    if (key.is_string()) named.named.emplace_back(key.str(), value);
  }
  return brace_format(interpreter, self.str(), named);
}

}  // namespace

const BuiltinTable& string_methods() {
  static const BuiltinTable table = {
      {"strip", method_strip},
      {"lstrip", method_lstrip},
      {"rstrip", method_rstrip},
      {"upper", method_upper},
      {"lower", method_lower},
      {"capitalize", method_capitalize},
      {"title", method_title},
      {"swapcase", method_swapcase},
      {"casefold", method_casefold},
      {"replace", method_replace},
      {"join", method_join},
      {"splitlines", method_splitlines},
      {"ljust", method_ljust},
      {"rjust", method_rjust},
      {"center", method_center},
      {"zfill", method_zfill},
      {"expandtabs", method_expandtabs},
      {"removeprefix", method_removeprefix},
      {"removesuffix", method_removesuffix},
      {"format", method_format},
      {"format_map", method_format_map},
  };
  return table;
}

}  // namespace haq::text::jinja
