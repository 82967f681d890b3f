// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/text/jinja/format.h"

#include <charconv>
#include <cmath>

#include "engine/text/jinja/unicode.h"

namespace haq::text::jinja {

std::string format_float(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  char buffer[40];
  const auto end =
      std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific);
  std::string text(buffer, end.ptr);
  const bool negative = text.front() == '-';
  if (negative) text.erase(0, 1);
  const std::size_t e = text.find('e');
  const int exponent = std::stoi(text.substr(e + 1));
  std::string digits = text.substr(0, e);
  if (const std::size_t point = digits.find('.'); point != std::string::npos) {
    digits.erase(point, 1);
  }
  const int count = static_cast<int>(digits.size());
  std::string out;
  if (exponent < -4 || exponent >= 16) {
    out = count > 1 ? fmt::format("{}.{}", digits[0], digits.substr(1)) : digits;
    out += fmt::format("e{}{:02}", exponent < 0 ? '-' : '+', std::abs(exponent));
  } else if (exponent < 0) {
    out = fmt::format("0.{}{}", std::string(static_cast<std::size_t>(-exponent - 1), '0'), digits);
  } else if (count <= exponent + 1) {
    out = digits + std::string(static_cast<std::size_t>(exponent + 1 - count), '0') + ".0";
  } else {
    const auto whole = static_cast<std::size_t>(exponent + 1);
    out = fmt::format("{}.{}", digits.substr(0, whole), digits.substr(whole));
  }
  return negative ? fmt::format("-{}", out) : out;
}

namespace {

void append_repr_str(StrBuilder& out, const Str& text) {
  const std::string_view bytes = text.view();
  const bool has_single = bytes.find('\'') != std::string_view::npos;
  const char quote = has_single && bytes.find('"') == std::string_view::npos ? '"' : '\'';
  const std::string mark(1, quote);
  const Origin around = text.origin();
  out.append(mark, around);
  std::size_t begin = 0;
  for (const Run& run : text.runs()) {
    std::string part;
    for (std::size_t at = begin; at < run.end;) {
      const CodePoint code = next_code_point(bytes, at);
      if (code == quote || code == '\\') {
        part += '\\';
        part += static_cast<char>(code);
      } else if (code == '\n') {
        part += "\\n";
      } else if (code == '\r') {
        part += "\\r";
      } else if (code == '\t') {
        part += "\\t";
      } else if (is_printable(code)) {
        append_utf8(part, code);
      } else if (code < 0x100) {
        part += fmt::format("\\x{:02x}", code);
      } else if (code < 0x10000) {
        part += fmt::format("\\u{:04x}", code);
      } else {
        part += fmt::format("\\U{:08x}", code);
      }
    }
    out.append(part, run.origin);
    begin = run.end;
  }
  out.append(mark, around);
}

void append_repr_items(StrBuilder& out, const std::vector<Value>& items, Origin origin) {
  bool first = true;
  for (const Value& item : items) {
    if (!first) out.append(", ", origin);
    first = false;
    append_repr(out, item);
  }
}

void append_repr_list(StrBuilder& out, const List& list) {
  const Origin origin = list.origin;
  switch (list.type) {
    case List::Type::kRange:
      out.append(list.range_repr, origin);
      return;
    case List::Type::kGenerator:
      out.append(fmt::format("<{} object>", list.type_name), origin);
      return;
    case List::Type::kTuple:
      out.append("(", origin);
      append_repr_items(out, list.items, origin);
      out.append(list.items.size() == 1 ? ",)" : ")", origin);
      return;
    case List::Type::kView:
      out.append(fmt::format("{}([", list.type_name), origin);
      append_repr_items(out, list.items, origin);
      out.append("])", origin);
      return;
    case List::Type::kList:
      out.append("[", origin);
      append_repr_items(out, list.items, origin);
      out.append("]", origin);
      return;
  }
}

void append_repr_dict(StrBuilder& out, const Dict& dict) {
  out.append("{", dict.origin);
  bool first = true;
  for (const auto& [key, value] : dict.entries) {
    if (!first) out.append(", ", dict.origin);
    first = false;
    append_repr(out, key);
    out.append(": ", dict.origin);
    append_repr(out, value);
  }
  out.append("}", dict.origin);
}

}  // namespace

void append_repr(StrBuilder& out, const Value& value) {
  charge(1);
  if (value.is_string()) {
    append_repr_str(out, value.str());
  } else if (value.is_undefined()) {
    out.append("Undefined", Origin::kTemplate);
  } else if (value.is_none()) {
    out.append("None", Origin::kTemplate);
  } else if (value.is_bool()) {
    out.append(value.boolean() ? "True" : "False", value.origin());
  } else if (value.is_int()) {
    out.append(std::to_string(value.integer()), value.origin());
  } else if (value.is_float()) {
    out.append(format_float(value.number()), value.origin());
  } else if (value.is_list()) {
    append_repr_list(out, value.list());
  } else if (value.is_dict()) {
    append_repr_dict(out, value.dict());
  } else {
    value.object()->append_repr(out);
  }
}

std::string repr(const Value& value) {
  StrBuilder out;
  append_repr(out, value);
  return std::string(out.view());
}

void append_str(StrBuilder& out, const Value& value) {
  if (value.is_string()) {
    out.append(value.str());
  } else if (!value.is_undefined()) {
    append_repr(out, value);
  }
}

Str to_str(const Value& value) {
  if (value.is_string()) return value.str();
  StrBuilder out;
  append_str(out, value);
  return out.finish();
}

}  // namespace haq::text::jinja
