// SPDX-License-Identifier: GPL-3.0-or-later
// String functions that filters and methods share. All of them keep the origin of what they copy.
#include <algorithm>
#include <charconv>
#include <limits>

#include "engine/text/jinja/builtins.h"
#include "engine/text/jinja/unicode.h"

namespace haq::text::jinja {
namespace {

/// Applies `map(out, code)` to every code point.
template <typename Map>
Str map_code_points(const Str& text, Map map) {
  StrBuilder out;
  const std::string_view bytes = text.view();
  std::size_t at = 0;
  std::string part;
  for (const Run& run : text.runs()) {
    part.clear();
    while (at < run.end) map(part, next_code_point(bytes, at));
    out.append(part, run.origin);
  }
  return out.finish();
}

/// The Greek capital sigma becomes a final sigma at the end of a word (SpecialCasing.txt).
bool is_final_sigma(std::string_view bytes, std::size_t begin, std::size_t end) {
  bool cased_before = false;
  for (std::size_t at = begin; at > 0;) {
    at = previous_boundary(bytes, at);
    std::size_t probe = at;
    const CodePoint code = next_code_point(bytes, probe);
    if (is_case_ignorable(code)) continue;
    cased_before = is_cased(code);
    break;
  }
  if (!cased_before) return false;
  for (std::size_t at = end; at < bytes.size();) {
    const CodePoint code = next_code_point(bytes, at);
    if (!is_case_ignorable(code)) return !is_cased(code);
  }
  return true;
}

constexpr CodePoint kCapitalSigma = 0x3a3;

bool in_set(CodePoint code, const std::vector<CodePoint>& set) {
  return std::find(set.begin(), set.end(), code) != set.end();
}

}  // namespace

Str repeat(const Str& text, std::int64_t count) {
  if (count <= 0 || text.empty()) return {};
  const auto times = static_cast<std::size_t>(count);
  check_size(times);
  check_size(text.size() * times);
  if (text.runs().size() == 1) {
    std::string bytes;
    bytes.reserve(text.size() * times);
    for (std::size_t i = 0; i < times; ++i) bytes += text.view();
    return Str(std::move(bytes), text.origin());
  }
  StrBuilder out;
  for (std::size_t i = 0; i < times; ++i) out.append(text);
  return out.finish();
}

Str upper(const Str& text) {
  return map_code_points(text, append_upper);
}

Str lower(const Str& text) {
  StrBuilder out;
  const std::string_view bytes = text.view();
  std::size_t at = 0;
  std::string part;
  for (const Run& run : text.runs()) {
    part.clear();
    while (at < run.end) {
      const std::size_t begin = at;
      const CodePoint code = next_code_point(bytes, at);
      if (code == kCapitalSigma && is_final_sigma(bytes, begin, at)) {
        append_utf8(part, 0x3c2);
      } else {
        append_lower(part, code);
      }
    }
    out.append(part, run.origin);
  }
  return out.finish();
}

Str capitalize(const Str& text) {
  if (text.empty()) return text;
  std::size_t first = 0;
  next_code_point(text.view(), first);
  StrBuilder out;
  out.append(map_code_points(text.slice(0, first), append_title));
  const Str rest = lower(text);
  out.append(rest, lower(text.slice(0, first)).size(), rest.size());
  return out.finish();
}

Str strip(const Str& text, const std::optional<Str>& chars, bool left, bool right) {
  std::vector<CodePoint> set;
  if (chars) {
    for (std::size_t at = 0; at < chars->size();) set.push_back(next_code_point(chars->view(), at));
  }
  const auto removable = [&](CodePoint code) { return chars ? in_set(code, set) : is_space(code); };
  const std::string_view bytes = text.view();
  std::size_t begin = 0;
  std::size_t end = bytes.size();
  while (left && begin < end) {
    std::size_t next = begin;
    if (!removable(next_code_point(bytes, next))) break;
    begin = next;
  }
  while (right && end > begin) {
    const std::size_t before = previous_boundary(bytes, end);
    std::size_t probe = before;
    if (!removable(next_code_point(bytes, probe))) break;
    end = before;
  }
  charge((bytes.size() - (end - begin)) * (1 + set.size()) / 64);
  return text.slice(begin, end);
}

Str replace(const Str& text, const Str& old, const Str& with, std::int64_t count) {
  if (count < 0) count = std::numeric_limits<std::int64_t>::max();
  const std::string_view bytes = text.view();
  const std::string_view wanted = old.view();
  StrBuilder out;
  std::size_t at = 0;
  if (wanted.empty()) {
    // Python puts the new text before every code point and at the end.
    for (; count > 0; --count) {
      charge(1);
      out.append(with);
      if (at >= bytes.size()) break;
      const std::size_t begin = at;
      next_code_point(bytes, at);
      out.append(text, begin, at);
    }
    out.append(text, at, bytes.size());
    return out.finish();
  }
  std::size_t found = count > 0 ? bytes.find(wanted) : std::string_view::npos;
  if (found == std::string_view::npos) return text;
  for (; count > 0 && found != std::string_view::npos; --count) {
    charge(1);
    out.append(text, at, found);
    out.append(with);
    at = found + wanted.size();
    found = bytes.find(wanted, at);
  }
  out.append(text, at, bytes.size());
  return old.origin() == Origin::kUser ? out.finish().with_origin(Origin::kUser) : out.finish();
}

std::vector<Str> split_lines(const Str& text, bool keep_ends) {
  std::vector<Str> lines;
  const std::string_view bytes = text.view();
  std::size_t begin = 0;
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t end = at;
    const CodePoint code = next_code_point(bytes, at);
    if (!is_line_break(code)) continue;
    if (code == '\r' && at < bytes.size() && bytes[at] == '\n') ++at;
    lines.push_back(text.slice(begin, keep_ends ? at : end));
    begin = at;
  }
  if (begin < bytes.size()) lines.push_back(text.slice(begin, bytes.size()));
  return lines;
}

Str join(const std::vector<Str>& parts, const Str& separator) {
  StrBuilder out;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (i > 0) out.append(separator);
    out.append(parts[i]);
  }
  charge(parts.size() / 8);
  return out.finish();
}

namespace {

/// Without surrounding whitespace and with the underscores that Python allows between digits
/// removed; empty when an underscore stands elsewhere.
std::optional<std::string> clean_number(std::string_view text) {
  const Str stripped = strip(Str(std::string(text)), std::nullopt, true, true);
  std::string out;
  const std::string_view bytes = stripped.view();
  const auto is_digit_byte = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  };
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (bytes[i] != '_') {
      out += bytes[i];
    } else if (i == 0 || i + 1 == bytes.size() || !is_digit_byte(bytes[i - 1]) ||
               !is_digit_byte(bytes[i + 1])) {
      return std::nullopt;
    }
  }
  return out;
}

}  // namespace

std::optional<std::int64_t> parse_int(std::string_view text, int base) {
  auto clean = clean_number(text);
  if (!clean || clean->empty()) return std::nullopt;
  std::string digits = *clean;
  const bool negative = digits.front() == '-';
  if (negative || digits.front() == '+') digits.erase(0, 1);
  if (digits.size() > 2 && digits[0] == '0' && base != 10) {
    const char marker = static_cast<char>(digits[1] | 0x20);
    const int marked = marker == 'x' ? 16 : marker == 'o' ? 8 : marker == 'b' ? 2 : 0;
    if (marked != 0 && (base == 0 || base == marked)) {
      base = marked;
      digits.erase(0, 2);
    }
  }
  if (base == 0) base = 10;
  if (base < 2 || base > 36) fail_value("int() base must be >= 2 and <= 36, or 0");
  if (digits.empty() || digits.front() == '-') return std::nullopt;
  if (negative) digits = fmt::format("-{}", digits);
  std::int64_t number = 0;
  const char* end = digits.data() + digits.size();
  const auto result = std::from_chars(digits.data(), end, number, base);
  if (result.ptr != end) return std::nullopt;
  if (result.ec == std::errc::result_out_of_range) {
    fail(ErrorCode::kLimit, "a number in the template needs more than 63 bits");
  }
  if (result.ec != std::errc()) return std::nullopt;
  return number;
}

std::optional<double> parse_float(std::string_view text) {
  auto clean = clean_number(text);
  if (!clean || clean->empty()) return std::nullopt;
  std::string digits = *clean;
  std::transform(digits.begin(), digits.end(), digits.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  if (digits.front() == '+') digits.erase(0, 1);
  const bool named = digits.find_first_not_of("+-0123456789.e") != std::string::npos;
  const std::string magnitude = digits.front() == '-' ? digits.substr(1) : digits;
  if (named && magnitude != "nan" && magnitude != "inf" && magnitude != "infinity") {
    return std::nullopt;
  }
  double number = 0;
  const char* end = digits.data() + digits.size();
  const auto result = std::from_chars(digits.data(), end, number);
  if (result.ptr != end || result.ec == std::errc::invalid_argument) return std::nullopt;
  if (result.ec == std::errc::result_out_of_range) {
    // from_chars says only "out of range"; the exponent's sign tells which end.
    const std::size_t e = digits.find('e');
    const bool tiny = e != std::string::npos && digits.find('-', e) != std::string::npos;
    const double bound = tiny ? 0.0 : std::numeric_limits<double>::infinity();
    return digits.front() == '-' ? -bound : bound;
  }
  return number;
}

}  // namespace haq::text::jinja
