// SPDX-License-Identifier: GPL-3.0-or-later
// Filters that turn text into text.
#include <algorithm>

#include "engine/text/jinja/builtins.h"
#include "engine/text/jinja/format.h"
#include "engine/text/jinja/unicode.h"

namespace haq::text::jinja {
namespace {

Value filter_upper(Interpreter&, const Value& self, const Arguments&) {
  return upper(to_str(self));
}

Value filter_lower(Interpreter&, const Value& self, const Arguments&) {
  return lower(to_str(self));
}

Value filter_capitalize(Interpreter&, const Value& self, const Arguments&) {
  return capitalize(to_str(self));
}

/// Unlike str.title, jinja's filter starts words only after whitespace and - ( { [ <.
Value filter_title(Interpreter&, const Value& self, const Arguments&) {
  const Str text = to_str(self);
  const std::string_view bytes = text.view();
  const auto separates = [](CodePoint code) {
    return is_space(code) || code == '-' || code == '(' || code == '{' || code == '[' ||
           code == '<';
  };
  std::vector<Str> words;
  std::size_t begin = 0;
  std::size_t first_end = 0;  // end of the first code point of the word
  const auto finish = [&](std::size_t end) {
    words.push_back(upper(text.slice(begin, first_end)));
    words.push_back(lower(text.slice(first_end, end)));
  };
  bool in_separator = false;
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t here = at;
    const bool separator = separates(next_code_point(bytes, at));
    if (here == 0 || separator != in_separator) {
      finish(here);
      begin = here;
      first_end = at;
    }
    in_separator = separator;
  }
  finish(bytes.size());
  return join(words, Str());
}

Value filter_trim(Interpreter&, const Value& self, const Arguments& arguments) {
  const Bound bound(arguments, "trim", {"chars"});
  std::optional<Str> chars;
  if (bound.has_value(0)) chars = require_string(bound[0], "trim");
  return strip(to_str(self), chars, true, true);
}

Value filter_replace(Interpreter&, const Value& self, const Arguments& arguments) {
  const Bound bound(arguments, "replace", {"old", "new", "count"}, 2);
  return replace(to_str(self), to_str(bound[0]), to_str(bound[1]), bound.integer(2, -1));
}

Value filter_indent(Interpreter&, const Value& self, const Arguments& arguments) {
  const Bound bound(arguments, "indent", {"width", "first", "blank"});
  const Str& text = require_string(self, "indent");
  const Str indention =
      bound.has(0) && bound[0].is_string() ? bound[0].str() : repeat(Str(" "), bound.integer(0, 4));
  const bool blank = bound.boolean(2, false);
  StrBuilder terminated;
  terminated.append(text);
  terminated.append("\n", Origin::kTemplate);  // jinja's quirk: keeps a last empty line
  const std::vector<Str> lines = split_lines(terminated.finish(), false);
  StrBuilder out;
  if (bound.boolean(1, false)) out.append(indention);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (i > 0) {
      out.append("\n", Origin::kTemplate);
      if (blank || !lines[i].empty()) out.append(indention);
    }
    out.append(lines[i]);
  }
  return out.finish();
}

Value filter_wordcount(Interpreter&, const Value& self, const Arguments&) {
  const Str text = to_str(self);
  std::int64_t words = 0;
  bool inside = false;
  for (std::size_t at = 0; at < text.size();) {
    const bool word = is_word(next_code_point(text.view(), at));
    words += word && !inside ? 1 : 0;
    inside = word;
  }
  return Value(words, text.origin());
}

Value filter_escape(Interpreter&, const Value& self, const Arguments&) {
  const Str text = to_str(self);
  StrBuilder out;
  std::size_t begin = 0;
  for (const Run& run : text.runs()) {
    std::string part;
    for (const char c : text.view().substr(begin, run.end - begin)) {
      switch (c) {
        case '&':
          part += "&amp;";
          break;
        case '<':
          part += "&lt;";
          break;
        case '>':
          part += "&gt;";
          break;
        case '\'':
          part += "&#39;";
          break;
        case '"':
          part += "&#34;";
          break;
        default:
          part += c;
      }
    }
    out.append(part, run.origin);
    begin = run.end;
  }
  return out.finish();
}

/// Escaping is off in chat templates, so marking text as safe changes nothing but its type.
Value filter_string(Interpreter&, const Value& self, const Arguments&) {
  return to_str(self);
}

Value filter_center(Interpreter&, const Value& self, const Arguments& arguments) {
  const Bound bound(arguments, "center", {"width"});
  const Str text = to_str(self);
  const std::int64_t width = bound.integer(0, 80);
  const auto length = static_cast<std::int64_t>(text.length());
  if (width <= length) return text;
  const std::int64_t space = width - length;
  // str.center puts the odd blank on the left when the width is odd.
  const std::int64_t left = space / 2 + (space & width & 1);
  return join({repeat(Str(" "), left), text, repeat(Str(" "), space - left)}, Str());
}

Value filter_truncate(Interpreter&, const Value& self, const Arguments& arguments) {
  const Bound bound(arguments, "truncate", {"length", "killwords", "end", "leeway"});
  const Str& text = require_string(self, "truncate");
  const std::int64_t length = bound.integer(0, 255);
  const Str end = bound.string(2, "...");
  const std::int64_t leeway = bound.integer(3, 5);
  const auto end_length = static_cast<std::int64_t>(end.length());
  if (length < end_length)
    fail_value("truncate: expected length >= {}, got {}", end_length, length);
  if (leeway < 0) fail_value("truncate: expected leeway >= 0, got {}", leeway);
  if (static_cast<std::int64_t>(text.length()) - leeway <= length) return text;
  Str head = text.slice_code_points(0, static_cast<std::size_t>(length - end_length));
  if (!bound.boolean(1, false)) {
    const std::size_t space = head.view().rfind(' ');
    if (space != std::string_view::npos) head = head.slice(0, space);
  }
  return join({head, end}, Str());
}

Value filter_format(Interpreter&, const Value& self, const Arguments& arguments) {
  if (!arguments.positional.empty() && !arguments.named.empty()) {
    fail_value("format: cannot handle positional and keyword arguments at the same time");
  }
  if (arguments.named.empty())
    return percent_format(to_str(self), make_tuple(arguments.positional));
  std::vector<std::pair<Value, Value>> entries;
  for (const auto& [name, value] : arguments.named) entries.emplace_back(name, value);
  return percent_format(to_str(self), make_dict(std::move(entries)));
}

}  // namespace

const BuiltinTable& text_filters() {
  static const BuiltinTable table = {
      {"upper", filter_upper},   {"lower", filter_lower},         {"capitalize", filter_capitalize},
      {"title", filter_title},   {"trim", filter_trim},           {"replace", filter_replace},
      {"indent", filter_indent}, {"wordcount", filter_wordcount}, {"escape", filter_escape},
      {"e", filter_escape},      {"forceescape", filter_escape},  {"safe", filter_string},
      {"string", filter_string}, {"center", filter_center},       {"truncate", filter_truncate},
      {"format", filter_format},
  };
  return table;
}

}  // namespace haq::text::jinja
