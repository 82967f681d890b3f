// SPDX-License-Identifier: GPL-3.0-or-later
// The "%" operator on strings, and str.format.
#include <algorithm>
#include <cmath>

#include "engine/text/jinja/builtins.h"
#include "engine/text/jinja/format.h"
#include "engine/text/jinja/format_spec.h"
#include "engine/text/jinja/unicode.h"

namespace haq::text::jinja {
namespace {

constexpr std::int64_t kMaxWidth = 1'000'000;

/// Reads a decimal number at `at`; throws kLimit above what any sensible width needs.
std::optional<std::int64_t> read_number(std::string_view text, std::size_t& at) {
  std::optional<std::int64_t> number;
  while (at < text.size() && text[at] >= '0' && text[at] <= '9') {
    number = number.value_or(0) * 10 + (text[at++] - '0');
    if (*number > kMaxWidth) {
      fail(ErrorCode::kLimit, "a format asks for a width above {}", kMaxWidth);
    }
  }
  return number;
}

Value to_integer(const Value& value, char type) {
  if (value.is_integral()) return Value(value.integer(), value.origin());
  if (value.is_float() && type != 'x' && type != 'X' && type != 'o') {
    const double number = value.number();
    if (!std::isfinite(number) || std::abs(number) >= 9.2e18) {
      fail_value("cannot convert float {} to integer", format_float(number));
    }
    return Value(static_cast<std::int64_t>(number), value.origin());
  }
  fail_value("%{} format: a number is required, not {}", type, type_name(value));
}

/// Walks a "%" format string, handing out the arguments.
class PercentFormatter {
 public:
  PercentFormatter(const Str& format, const Value& arguments)
      : format_(format), text_(format.view()), arguments_(arguments) {
    const bool tuple = arguments.is_list() && arguments.list().type == List::Type::kTuple;
    values_ = tuple ? arguments.list().items : std::vector<Value>{arguments};
    is_tuple_ = tuple;
  }

  Str run() {
    std::size_t at = 0;
    while (at < text_.size()) {
      const std::size_t percent = std::min(text_.find('%', at), text_.size());
      out_.append(format_, at, percent);
      if (percent == text_.size()) break;
      at = percent + 1;
      convert(at);
    }
    if (next_ < values_.size() && !used_mapping_ && (is_tuple_ || !arguments_.is_dict())) {
      fail_value("not all arguments converted during string formatting");
    }
    return out_.finish();
  }

 private:
  Value take() {
    if (next_ >= values_.size()) fail_value("not enough arguments for format string");
    return values_[next_++];
  }

  void convert(std::size_t& at) {
    const std::size_t begin = at;
    std::optional<Value> keyed;
    if (at < text_.size() && text_[at] == '(') {
      const std::size_t close = text_.find(')', at);
      if (close == std::string_view::npos) fail_value("incomplete format key");
      if (!arguments_.is_dict()) fail_value("format requires a mapping");
      const std::string_view key = text_.substr(at + 1, close - at - 1);
      const Value* found = arguments_.dict().find(key);
      if (found == nullptr) fail_value("the format's key '{}' is missing", key);
      keyed = *found;
      used_mapping_ = true;
      at = close + 1;
    }
    FormatSpec spec;
    bool zero = false;
    for (; at < text_.size() && std::string_view("-+ #0").find(text_[at]) != std::string_view::npos;
         ++at) {
      const char flag = text_[at];
      if (flag == '-') spec.align = '<';
      if (flag == '+' || (flag == ' ' && spec.sign != '+')) spec.sign = flag;
      if (flag == '#') spec.alternate = true;
      if (flag == '0') zero = true;
    }
    spec.width = read_width(at);
    if (spec.width < 0) {
      spec.align = '<';
      spec.width = -spec.width;
    }
    if (at < text_.size() && text_[at] == '.') {
      ++at;
      spec.precision = std::max<std::int64_t>(read_width(at), 0);
    }
    while (at < text_.size() && (text_[at] == 'h' || text_[at] == 'l' || text_[at] == 'L')) ++at;
    if (at >= text_.size()) fail_value("incomplete format");
    spec.type = text_[at++];
    if (spec.type == '%') return out_.append(format_, begin - 1, begin);
    const Value value = keyed ? *keyed : take();
    if (spec.align == '\0') spec.align = '>';
    emit(value, spec, zero);
  }

  std::int64_t read_width(std::size_t& at) {
    if (at >= text_.size() || text_[at] != '*') return read_number(text_, at).value_or(0);
    ++at;
    const std::int64_t width = require_integer(take(), "format");
    if (width > kMaxWidth || width < -kMaxWidth) {
      fail(ErrorCode::kLimit, "a format asks for a width above {}", kMaxWidth);
    }
    return width;
  }

  void emit(const Value& value, FormatSpec& spec, bool zero) {
    switch (spec.type) {
      case 's':
        return out_.append(format_text(to_str(value), spec));
      case 'r':
      case 'a': {
        StrBuilder shown;
        append_repr(shown, value);
        return out_.append(format_text(shown.finish(), spec));
      }
      case 'c': {
        if (value.is_string() && value.str().length() == 1) {
          return out_.append(format_text(value.str(), spec));
        }
        const std::int64_t code = require_integer(value, "%c");
        if (code < 0 || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) {
          fail_value("%c arg is no character");
        }
        std::string bytes;
        append_utf8(bytes, static_cast<CodePoint>(code));
        return out_.append(format_text(Str(bytes, value.origin()), spec));
      }
      default:
        break;
    }
    if (zero && spec.align == '>') {
      spec.align = '=';
      spec.fill = Str("0");
    }
    require_defined(value);
    if (std::string_view("diuxXo").find(spec.type) != std::string_view::npos) {
      const Value number = to_integer(value, spec.type);
      if (spec.type == 'i' || spec.type == 'u') spec.type = 'd';
      return out_.append(format_number(number, spec));
    }
    if (std::string_view("eEfFgG").find(spec.type) == std::string_view::npos) {
      fail_value("unsupported format character '{}'", spec.type);
    }
    if (!value.is_number()) fail_value("must be real number, not {}", type_name(value));
    out_.append(format_number(Value(value.number(), value.origin()), spec));
  }

  const Str& format_;
  std::string_view text_;
  const Value& arguments_;
  std::vector<Value> values_;
  bool is_tuple_ = false;
  bool used_mapping_ = false;
  std::size_t next_ = 0;
  StrBuilder out_;
};

/// Walks a str.format string.
class BraceFormatter {
 public:
  BraceFormatter(Interpreter& interpreter, const Arguments& arguments)
      : interpreter_(interpreter), arguments_(arguments) {}

  /// Fields may hold fields in their specification, one level down as in Python.
  Str run(const Str& format, int level) {
    StrBuilder out;
    const std::string_view text = format.view();
    std::size_t at = 0;
    while (at < text.size()) {
      const std::size_t brace = std::min(text.find_first_of("{}", at), text.size());
      out.append(format, at, brace);
      if (brace == text.size()) break;
      at = brace + 1;
      if (at < text.size() && text[at] == text[brace]) {
        out.append(format, at, at + 1);
        ++at;
        continue;
      }
      if (text[brace] == '}') fail_value("Single '}}' encountered in format string");
      const std::size_t end = matching_brace(text, at);
      out.append(field(format, at, end, level));
      at = end + 1;
    }
    return out.finish();
  }

 private:
  static std::size_t matching_brace(std::string_view text, std::size_t at) {
    int open = 1;
    for (; at < text.size(); ++at) {
      if (text[at] == '{') ++open;
      if (text[at] == '}' && --open == 0) return at;
    }
    fail_value("expected '}}' before end of string");
  }

  Str field(const Str& format, std::size_t begin, std::size_t end, int level) {
    const std::string_view text = format.view();
    std::size_t at = begin;
    while (at < end && text[at] != ':' && text[at] != '!') {
      if (text[at] == '[') {
        while (at < end && text[at] != ']') ++at;
      } else {
        ++at;
      }
    }
    Value value = lookup(text.substr(begin, at - begin));
    if (at < end && text[at] == '!') {
      const char conversion = at + 1 < end ? text[at + 1] : '\0';
      if (conversion != 'r' && conversion != 's' && conversion != 'a') {
        fail_value("unknown conversion in a format field");
      }
      StrBuilder shown;
      if (conversion == 's') {
        append_str(shown, value);
      } else {
        append_repr(shown, value);
      }
      value = shown.finish();
      at += 2;
    }
    if (at >= end) return to_str(value);
    if (text[at] != ':') fail_value("expected ':' after conversion specifier");
    if (level >= 2) fail_value("Max string recursion exceeded");
    const Str spec = run(format.slice(at + 1, end), level + 1);
    return apply(value, spec);
  }

  Value lookup(std::string_view path) {
    std::size_t at = std::min(path.find_first_of(".["), path.size());
    const std::string_view first = path.substr(0, at);
    Value value;
    const bool numeric = !first.empty() && std::all_of(first.begin(), first.end(),
                                                       [](char c) { return c >= '0' && c <= '9'; });
    if (first.empty() && !path.empty()) fail_value("a format field begins with '{}'", path.front());
    if (first.empty() || numeric) {
      const bool automatic = first.empty();
      if (automatic_.value_or(automatic) != automatic) {
        fail_value("a format cannot mix numbered and unnumbered fields");
      }
      automatic_ = automatic;
      std::size_t digits = 0;
      const std::size_t index =
          first.empty() ? next_++ : static_cast<std::size_t>(*read_number(first, digits));
      if (index >= arguments_.positional.size()) {
        fail_value("Replacement index {} out of range for positional args tuple", index);
      }
      value = arguments_.positional[index];
    } else {
      const auto found =
          std::find_if(arguments_.named.begin(), arguments_.named.end(),
                       [&](const auto& entry) { return entry.first.view() == first; });
      if (found == arguments_.named.end()) fail_value("the format's key '{}' is missing", first);
      value = found->second;
    }
    while (at < path.size()) {
      if (path[at] == '.') {
        const std::size_t stop = std::min(path.find_first_of(".[", at + 1), path.size());
        value = interpreter_.attribute(value, path.substr(at + 1, stop - at - 1));
        at = stop;
      } else {
        const std::size_t close = path.find(']', at);
        if (path[at] != '[' || close == std::string_view::npos) {
          fail_value("Missing ']' in format string");
        }
        const std::string_view key = path.substr(at + 1, close - at - 1);
        const auto index = parse_int(key, 10);
        value = interpreter_.item(value, index ? Value(*index) : make_string(key));
        at = close + 1;
      }
    }
    return value;
  }

  static bool is_align(char c) { return c == '<' || c == '>' || c == '^' || c == '='; }

  static Str apply(const Value& value, const Str& spec_text) {
    if (spec_text.empty()) return to_str(value);
    const std::string_view text = spec_text.view();
    FormatSpec spec;
    std::size_t at = 0;
    std::size_t after_fill = 0;
    next_code_point(text, after_fill);
    if (after_fill < text.size() && is_align(text[after_fill])) {
      spec.fill = spec_text.slice(0, after_fill);
      spec.align = text[after_fill];
      at = after_fill + 1;
    } else if (is_align(text[0])) {
      spec.align = text[at++];
    }
    const auto skip = [&](char c) {
      const bool found = at < text.size() && text[at] == c;
      at += found ? 1 : 0;
      return found;
    };
    if (skip('+')) {
      spec.sign = '+';
    } else if (skip(' ')) {
      spec.sign = ' ';
    } else {
      skip('-');
    }
    spec.alternate = skip('#');
    if (skip('0') && spec.align == '\0') {
      spec.align = value.is_number() ? '=' : '\0';
      spec.fill = Str("0");
    }
    spec.width = read_number(text, at).value_or(0);
    if (skip(',')) spec.grouping = ',';
    if (skip('_')) spec.grouping = '_';
    if (skip('.')) {
      spec.precision = read_number(text, at);
      if (!spec.precision) fail_value("Format specifier missing precision");
    }
    if (at < text.size()) spec.type = text[at++];
    if (at != text.size()) fail_value("Invalid format specifier");
    if (value.is_string()) {
      if (spec.type != '\0' && spec.type != 's') {
        fail_value("Unknown format code '{}' for object of type 'str'", spec.type);
      }
      return format_text(to_str(value), spec);
    }
    if (!value.is_number()) {
      fail_value("unsupported format string passed to {}.__format__", type_name(value));
    }
    if (std::string_view("\0bdoxXneEfFgG%", 14).find(spec.type) == std::string_view::npos) {
      fail_value("Unknown format code '{}' for object of type '{}'", spec.type, type_name(value));
    }
    if (value.is_integral() && spec.precision && spec.type != '\0' &&
        std::string_view("bdoxXn").find(spec.type) != std::string_view::npos) {
      fail_value("Precision not allowed in integer format specifier");
    }
    return format_number(value, spec);
  }

  Interpreter& interpreter_;
  const Arguments& arguments_;
  std::size_t next_ = 0;
  std::optional<bool> automatic_;  ///< whether fields are numbered by their order
};

}  // namespace

Str percent_format(const Str& format, const Value& arguments) {
  return PercentFormatter(format, arguments).run();
}

Str brace_format(Interpreter& interpreter, const Str& format, const Arguments& arguments) {
  return BraceFormatter(interpreter, arguments).run(format, 0);
}

}  // namespace haq::text::jinja
