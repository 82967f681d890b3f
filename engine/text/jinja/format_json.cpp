// SPDX-License-Identifier: GPL-3.0-or-later
#include <algorithm>
#include <cmath>

#include "engine/text/jinja/format.h"
#include "engine/text/jinja/unicode.h"

namespace haq::text::jinja {
namespace {

void append_escape(std::string& out, unsigned unit) {
  out += fmt::format("\\u{:04x}", unit);
}

void append_json_code_point(std::string& out, CodePoint code, bool ensure_ascii) {
  switch (code) {
    case '"':
      out += "\\\"";
      return;
    case '\\':
      out += "\\\\";
      return;
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    case '\f':
      out += "\\f";
      return;
    case '\b':
      out += "\\b";
      return;
    default:
      break;
  }
  if (code < 0x20 || (ensure_ascii && code >= 0x7f && code < 0x10000)) {
    // json.dumps leaves DEL alone, which is ASCII.
    if (code == 0x7f) {
      out += '\x7f';
    } else {
      append_escape(out, static_cast<unsigned>(code));
    }
  } else if (ensure_ascii && code >= 0x10000) {
    const auto rest = static_cast<unsigned>(code - 0x10000);
    append_escape(out, 0xd800 + (rest >> 10));
    append_escape(out, 0xdc00 + (rest & 0x3ff));
  } else {
    append_utf8(out, code);
  }
}

bool needs_escape(unsigned char byte, bool ensure_ascii) {
  return byte < 0x20 || byte == '"' || byte == '\\' || (ensure_ascii && byte >= 0x7f);
}

void append_json_str(StrBuilder& out, const Str& text, bool ensure_ascii) {
  const std::string_view bytes = text.view();
  const Origin around = text.origin();
  out.append("\"", around);
  std::size_t begin = 0;
  std::string part;
  for (const Run& run : text.runs()) {
    part.clear();
    for (std::size_t at = begin; at < run.end;) {
      std::size_t plain = at;
      while (plain < run.end &&
             !needs_escape(static_cast<unsigned char>(bytes[plain]), ensure_ascii)) {
        ++plain;
      }
      part.append(bytes.substr(at, plain - at));
      at = plain;
      if (at < run.end) append_json_code_point(part, next_code_point(bytes, at), ensure_ascii);
    }
    out.append(part, run.origin);
    begin = run.end;
  }
  out.append("\"", around);
}

class Writer {
 public:
  Writer(StrBuilder& out, const JsonStyle& style) : out_(out), style_(style) {}

  void write(const Value& value) {
    charge(1);
    if (value.is_string()) {
      append_json_str(out_, value.str(), style_.ensure_ascii);
    } else if (value.is_none()) {
      out_.append("null", Origin::kTemplate);
    } else if (value.is_number()) {
      out_.append(number(value), value.origin());
    } else if (value.is_list() && (value.list().type == List::Type::kList ||
                                   value.list().type == List::Type::kTuple)) {
      write_list(value.list());
    } else if (value.is_dict()) {
      write_dict(value.dict());
    } else {
      fail_value("Object of type {} is not JSON serializable", type_name(value));
    }
  }

 private:
  static std::string number(const Value& value) {
    if (value.is_bool()) return value.boolean() ? "true" : "false";
    if (value.is_int()) return std::to_string(value.integer());
    const double x = value.number();
    if (std::isnan(x)) return "NaN";
    if (std::isinf(x)) return x < 0 ? "-Infinity" : "Infinity";
    return format_float(x);
  }

  void newline(Origin origin) {
    if (!style_.indented) return;
    out_.append("\n", origin);
    for (int i = 0; i < level_; ++i) out_.append(style_.indent);
  }

  void separate(bool first, Origin origin) {
    if (!first) {
      out_.append(style_.item_separator.view(), style_.item_separator.origin() | origin);
    }
    newline(origin);
  }

  void write_list(const List& list) {
    if (list.items.empty()) return out_.append("[]", list.origin);
    out_.append("[", list.origin);
    ++level_;
    bool first = true;
    for (const Value& item : list.items) {
      separate(first, list.origin);
      first = false;
      write(item);
    }
    --level_;
    newline(list.origin);
    out_.append("]", list.origin);
  }

  void write_key(const Value& key) {
    if (key.is_string()) return append_json_str(out_, key.str(), style_.ensure_ascii);
    if (!key.is_number() && !key.is_none()) {
      fail_value("keys must be str, int, float, bool or None, not {}", type_name(key));
    }
    const std::string name = key.is_none() ? "null" : number(key);
    out_.append(fmt::format("\"{}\"", name), key.origin());
  }

  void write_dict(const Dict& dict) {
    if (dict.entries.empty()) return out_.append("{}", dict.origin);
    std::vector<const std::pair<Value, Value>*> entries;
    for (const auto& entry : dict.entries) entries.push_back(&entry);
    if (style_.sort_keys) {
      std::stable_sort(entries.begin(), entries.end(),
                       [](const auto* a, const auto* b) { return less(a->first, b->first); });
    }
    out_.append("{", dict.origin);
    ++level_;
    bool first = true;
    for (const auto* entry : entries) {
      separate(first, dict.origin);
      first = false;
      write_key(entry->first);
      out_.append(style_.key_separator.view(), style_.key_separator.origin() | dict.origin);
      write(entry->second);
    }
    --level_;
    newline(dict.origin);
    out_.append("}", dict.origin);
  }

  StrBuilder& out_;
  const JsonStyle& style_;
  int level_ = 0;
};

}  // namespace

void append_json(StrBuilder& out, const Value& value, const JsonStyle& style) {
  Writer(out, style).write(value);
}

}  // namespace haq::text::jinja
