// SPDX-License-Identifier: GPL-3.0-or-later
// Methods of str that look into a string: splitting, finding, asking for its characters.
#include <algorithm>
#include <limits>

#include "engine/text/jinja/builtins.h"
#include "engine/text/jinja/format.h"
#include "engine/text/jinja/unicode.h"

namespace haq::text::jinja {
namespace {

Value to_list(std::vector<Str> parts) {
  std::vector<Value> items;
  items.reserve(parts.size());
  for (Str& part : parts) items.emplace_back(std::move(part));
  return make_list(std::move(items));
}

/// Splits at runs of whitespace, as split() without a separator does.
std::vector<Str> split_words(const Str& text, std::int64_t limit) {
  std::vector<Str> parts;
  const std::string_view bytes = text.view();
  std::size_t at = 0;
  while (at < bytes.size()) {
    std::size_t next = at;
    if (is_space(next_code_point(bytes, next))) {
      at = next;
      continue;
    }
    if (limit-- == 0) {
      parts.push_back(text.slice(at, bytes.size()));
      break;
    }
    const std::size_t begin = at;
    while (at < bytes.size()) {
      next = at;
      if (is_space(next_code_point(bytes, next))) break;
      at = next;
    }
    parts.push_back(text.slice(begin, at));
  }
  return parts;
}

std::vector<Str> split_words_from_right(const Str& text, std::int64_t limit) {
  std::vector<Str> parts;
  const std::string_view bytes = text.view();
  std::size_t end = bytes.size();
  const auto space_before = [&](std::size_t at) {
    std::size_t probe = previous_boundary(bytes, at);
    return is_space(next_code_point(bytes, probe));
  };
  while (end > 0) {
    if (space_before(end)) {
      end = previous_boundary(bytes, end);
      continue;
    }
    if (limit-- == 0) {
      parts.push_back(text.slice(0, end));
      break;
    }
    std::size_t begin = end;
    while (begin > 0 && !space_before(begin)) begin = previous_boundary(bytes, begin);
    parts.push_back(text.slice(begin, end));
    end = begin;
  }
  std::reverse(parts.begin(), parts.end());
  return parts;
}

Value split_method(const Value& self, const Arguments& arguments, bool from_right) {
  const Bound bound(arguments, from_right ? "rsplit" : "split", {"sep", "maxsplit"});
  const Str& text = self.str();
  std::int64_t limit = bound.integer(1, -1);
  if (limit < 0) limit = std::numeric_limits<std::int64_t>::max();
  if (!bound.has_value(0)) {
    return to_list(from_right ? split_words_from_right(text, limit) : split_words(text, limit));
  }
  const std::string_view separator = require_string(bound[0], "split").view();
  if (separator.empty()) fail_value("empty separator");
  const std::string_view bytes = text.view();
  std::vector<Str> parts;
  if (from_right) {
    std::size_t end = bytes.size();
    for (; limit > 0 && end >= separator.size(); --limit) {
      const std::size_t found = bytes.rfind(separator, end - separator.size());
      if (found == std::string_view::npos) break;
      parts.push_back(text.slice(found + separator.size(), end));
      end = found;
    }
    parts.push_back(text.slice(0, end));
    std::reverse(parts.begin(), parts.end());
  } else {
    std::size_t begin = 0;
    for (; limit > 0; --limit) {
      const std::size_t found = bytes.find(separator, begin);
      if (found == std::string_view::npos) break;
      parts.push_back(text.slice(begin, found));
      begin = found + separator.size();
    }
    parts.push_back(text.slice(begin, bytes.size()));
  }
  return to_list(std::move(parts));
}

Value method_split(Interpreter&, const Value& self, const Arguments& arguments) {
  return split_method(self, arguments, false);
}

Value method_rsplit(Interpreter&, const Value& self, const Arguments& arguments) {
  return split_method(self, arguments, true);
}

Value partition(const Value& self, const Arguments& arguments, bool from_right) {
  const Bound bound(arguments, "partition", {"sep"}, 1);
  const Str& text = self.str();
  const Str& separator = require_string(bound[0], "partition");
  if (separator.empty()) fail_value("empty separator");
  const std::size_t found =
      from_right ? text.view().rfind(separator.view()) : text.view().find(separator.view());
  if (found == std::string_view::npos) {
    return from_right ? make_tuple({Str(), Str(), text}) : make_tuple({text, Str(), Str()});
  }
  return make_tuple({text.slice(0, found), text.slice(found, found + separator.size()),
                     text.slice(found + separator.size(), text.size())});
}

Value method_partition(Interpreter&, const Value& self, const Arguments& arguments) {
  return partition(self, arguments, false);
}

Value method_rpartition(Interpreter&, const Value& self, const Arguments& arguments) {
  return partition(self, arguments, true);
}

/// The part of a string that the start and end arguments of find and its kin choose.
struct Window {
  std::string_view bytes;
  std::size_t begin = 0;  // in code points
  bool valid = true;      // false when start lies behind the end
};

Window window_of(const Str& text, const Bound& bound) {
  const auto length = static_cast<std::int64_t>(text.length());
  const auto clamp = [&](std::int64_t index) {
    if (index < 0) index += length;
    return std::max<std::int64_t>(index, 0);
  };
  const std::int64_t begin = clamp(bound.integer(1, 0));
  const std::int64_t end = std::min(clamp(bound.integer(2, length)), length);
  Window window;
  window.begin = static_cast<std::size_t>(begin);
  window.valid = begin <= end;
  if (!window.valid) return window;
  const std::size_t from = text.offset_of(static_cast<std::size_t>(begin));
  const std::size_t to = text.offset_of(static_cast<std::size_t>(end));
  window.bytes = text.view().substr(from, to - from);
  charge(window.bytes.size() / 64);
  return window;
}

std::int64_t find_index(const Value& self, const Arguments& arguments, std::string_view name,
                        bool from_right) {
  const Bound bound(arguments, name, {"sub", "start", "end"}, 1);
  const std::string_view wanted = require_string(bound[0], name).view();
  const Window window = window_of(self.str(), bound);
  if (!window.valid) return -1;
  const std::size_t found = from_right ? window.bytes.rfind(wanted) : window.bytes.find(wanted);
  if (found == std::string_view::npos) return -1;
  return static_cast<std::int64_t>(window.begin + count_code_points(window.bytes.substr(0, found)));
}

Value method_find(Interpreter&, const Value& self, const Arguments& arguments) {
  return Value(find_index(self, arguments, "find", false), self.origin());
}

Value method_rfind(Interpreter&, const Value& self, const Arguments& arguments) {
  return Value(find_index(self, arguments, "rfind", true), self.origin());
}

Value index_method(const Value& self, const Arguments& arguments, bool from_right) {
  const std::int64_t index = find_index(self, arguments, "index", from_right);
  if (index < 0) fail_value("substring not found");
  return Value(index, self.origin());
}

Value method_index(Interpreter&, const Value& self, const Arguments& arguments) {
  return index_method(self, arguments, false);
}

Value method_rindex(Interpreter&, const Value& self, const Arguments& arguments) {
  return index_method(self, arguments, true);
}

Value method_count(Interpreter&, const Value& self, const Arguments& arguments) {
  const Bound bound(arguments, "count", {"sub", "start", "end"}, 1);
  const std::string_view wanted = require_string(bound[0], "count").view();
  const Window window = window_of(self.str(), bound);
  std::int64_t count = 0;
  if (!window.valid) return count;
  if (wanted.empty()) {
    return Value(static_cast<std::int64_t>(count_code_points(window.bytes)) + 1, self.origin());
  }
  for (std::size_t at = window.bytes.find(wanted); at != std::string_view::npos;
       at = window.bytes.find(wanted, at + wanted.size())) {
    ++count;
  }
  return Value(count, self.origin());
}

/// startswith and endswith take one string or a tuple of them.
Value affix(const Value& self, const Arguments& arguments, bool at_end) {
  const std::string_view name = at_end ? "endswith" : "startswith";
  const Bound bound(arguments, name, {"affix", "start", "end"}, 1);
  const Window window = window_of(self.str(), bound);
  const auto matches = [&](const Value& wanted) {
    const std::string_view text = require_string(wanted, name).view();
    if (!window.valid) return false;
    return at_end ? window.bytes.ends_with(text) : window.bytes.starts_with(text);
  };
  if (bound[0].is_list() && bound[0].list().type == List::Type::kTuple) {
    const auto& all = bound[0].list().items;
    return std::any_of(all.begin(), all.end(), matches);
  }
  return matches(bound[0]);
}

Value method_startswith(Interpreter&, const Value& self, const Arguments& arguments) {
  return affix(self, arguments, false);
}

Value method_endswith(Interpreter&, const Value& self, const Arguments& arguments) {
  return affix(self, arguments, true);
}

/// isdigit and its kin: all characters are in the class and there is at least one.
template <bool (*InClass)(CodePoint)>
Value all_in_class(Interpreter&, const Value& self, const Arguments& arguments) {
  const Bound bound(arguments, "the method", {});
  const std::string_view bytes = self.str().view();
  for (std::size_t at = 0; at < bytes.size();) {
    if (!InClass(next_code_point(bytes, at))) return false;
  }
  return !bytes.empty();
}

template <bool (*Wanted)(CodePoint)>
Value all_cased(Interpreter&, const Value& self, const Arguments& arguments) {
  const Bound bound(arguments, "the method", {});
  const std::string_view bytes = self.str().view();
  bool any = false;
  for (std::size_t at = 0; at < bytes.size();) {
    const CodePoint code = next_code_point(bytes, at);
    if (!is_cased(code)) continue;
    if (!Wanted(code)) return false;
    any = true;
  }
  return any;
}

Value method_istitle(Interpreter&, const Value& self, const Arguments&) {
  const std::string_view bytes = self.str().view();
  bool any = false;
  bool previous_cased = false;
  for (std::size_t at = 0; at < bytes.size();) {
    const CodePoint code = next_code_point(bytes, at);
    const bool starts = is_upper(code) || is_title(code);
    if (starts ? previous_cased : is_lower(code) && !previous_cased) return false;
    previous_cased = is_cased(code);
    any |= previous_cased;
  }
  return any;
}

Value method_isascii(Interpreter&, const Value& self, const Arguments&) {
  return self.str().ascii();
}

Value method_isprintable(Interpreter&, const Value& self, const Arguments&) {
  const std::string_view bytes = self.str().view();
  for (std::size_t at = 0; at < bytes.size();) {
    if (!is_printable(next_code_point(bytes, at))) return false;
  }
  return true;
}

Value method_isidentifier(Interpreter&, const Value& self, const Arguments&) {
  const std::string_view bytes = self.str().view();
  for (std::size_t at = 0; at < bytes.size();) {
    const bool first = at == 0;
    const CodePoint code = next_code_point(bytes, at);
    if (!(code == '_' || (first ? is_alpha(code) : is_word(code)))) return false;
  }
  return !bytes.empty();
}

}  // namespace

const BuiltinTable& string_search_methods() {
  static const BuiltinTable table = {
      {"split", method_split},
      {"rsplit", method_rsplit},
      {"partition", method_partition},
      {"rpartition", method_rpartition},
      {"find", method_find},
      {"rfind", method_rfind},
      {"index", method_index},
      {"rindex", method_rindex},
      {"count", method_count},
      {"startswith", method_startswith},
      {"endswith", method_endswith},
      {"isalpha", all_in_class<is_alpha>},
      {"isalnum", all_in_class<is_alnum>},
      {"isdecimal", all_in_class<is_decimal>},
      {"isdigit", all_in_class<is_digit>},
      {"isnumeric", all_in_class<is_numeric>},
      {"isspace", all_in_class<is_space>},
      {"islower", all_cased<is_lower>},
      {"isupper", all_cased<is_upper>},
      {"istitle", method_istitle},
      {"isascii", method_isascii},
      {"isprintable", method_isprintable},
      {"isidentifier", method_isidentifier},
  };
  return table;
}

}  // namespace haq::text::jinja
