// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/text/jinja/format_spec.h"

#include <algorithm>
#include <cmath>

#include "engine/text/jinja/builtins.h"
#include "engine/text/jinja/format.h"

namespace haq::text::jinja {
namespace {

constexpr std::int64_t kMaxPrecision = 1000;

Str pad(const Str& text, const FormatSpec& spec, char default_align) {
  const auto length = static_cast<std::int64_t>(text.length());
  if (spec.width <= length) return text;
  const std::int64_t space = spec.width - length;
  const char align = spec.align == '\0' ? default_align : spec.align;
  const std::int64_t left = align == '<' ? 0 : align == '^' ? space / 2 : space;
  return join({repeat(spec.fill, left), text, repeat(spec.fill, space - left)}, Str());
}

std::string group_digits(const std::string& digits, char separator, std::size_t every) {
  std::string out;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % every == 0) out += separator;
    out += digits[i];
  }
  return out;
}

std::string integer_digits(std::uint64_t magnitude, char type) {
  switch (type) {
    case 'o':
      return fmt::format("{:o}", magnitude);
    case 'x':
      return fmt::format("{:x}", magnitude);
    case 'X':
      return fmt::format("{:X}", magnitude);
    case 'b':
      return fmt::format("{:b}", magnitude);
    default:
      return fmt::format("{}", magnitude);
  }
}

std::string float_digits(double magnitude, const FormatSpec& spec) {
  const char type = spec.type;
  if (!std::isfinite(magnitude)) {
    const bool capital = type == 'E' || type == 'F' || type == 'G';
    if (std::isnan(magnitude)) return capital ? "NAN" : "nan";
    return capital ? "INF" : "inf";
  }
  const int precision = static_cast<int>(spec.precision.value_or(6));
  switch (type) {
    case 'e':
      return fmt::format("{:.{}e}", magnitude, precision);
    case 'E':
      return fmt::format("{:.{}E}", magnitude, precision);
    case 'f':
    case 'F':
      return fmt::format("{:.{}f}", magnitude, precision);
    case '%':
      return fmt::format("{:.{}f}%", magnitude * 100, precision);
    case 'G':
      return fmt::format("{:.{}G}", magnitude, std::max(precision, 1));
    case 'g':
    case 'n':
      return fmt::format("{:.{}g}", magnitude, std::max(precision, 1));
    default: {
      if (!spec.precision) return format_float(magnitude);
      // No type: like g, but with at least one digit after the point.
      std::string digits = fmt::format("{:.{}g}", magnitude, std::max(precision, 1));
      if (digits.find_first_of(".e") == std::string::npos) {
        if (static_cast<int>(digits.size()) >= std::max(precision, 1)) {
          return fmt::format("{:.{}e}", magnitude, std::max(precision, 1) - 1);
        }
        digits += ".0";
      }
      return digits;
    }
  }
}

}  // namespace

Str format_number(const Value& value, const FormatSpec& spec) {
  if (spec.precision && (*spec.precision < 0 || *spec.precision > kMaxPrecision)) {
    fail(ErrorCode::kLimit, "a number is formatted with more than {} digits", kMaxPrecision);
  }
  const std::string_view float_types = "eEfFgG%";
  const bool as_float = value.is_float() || float_types.find(spec.type) != std::string_view::npos;
  std::string prefix;
  std::string digits;
  bool negative = false;
  if (as_float && spec.type != '\0' && float_types.find(spec.type) == std::string_view::npos &&
      spec.type != 'n') {
    fail_value("Unknown format code '{}' for object of type 'float'", spec.type);
  }
  if (as_float) {
    negative = std::signbit(value.number()) && !std::isnan(value.number());
    digits = float_digits(std::abs(value.number()), spec);
  } else {
    const std::int64_t number = value.integer();
    negative = number < 0;
    const auto magnitude =
        negative ? 0 - static_cast<std::uint64_t>(number) : static_cast<std::uint64_t>(number);
    digits = integer_digits(magnitude, spec.type);
    if (spec.alternate && spec.type != '\0' && spec.type != 'd') prefix = {'0', spec.type};
    if (spec.precision && static_cast<std::int64_t>(digits.size()) < *spec.precision) {
      digits.insert(0, static_cast<std::size_t>(*spec.precision) - digits.size(), '0');
    }
  }
  if (spec.grouping != '\0') {
    const std::size_t whole =
        std::min(digits.find_first_not_of("0123456789abcdefABCDEF"), digits.size());
    const bool decimal =
        spec.type != 'x' && spec.type != 'X' && spec.type != 'o' && spec.type != 'b';
    digits = group_digits(digits.substr(0, whole), spec.grouping, decimal ? 3 : 4) +
             digits.substr(whole);
  }
  const std::string sign = negative ? "-" : spec.sign == '-' ? "" : std::string(1, spec.sign);
  const Origin origin = value.origin();
  if (spec.align == '=') {
    const auto used = static_cast<std::int64_t>(sign.size() + prefix.size() + digits.size());
    return join(
        {Str(sign + prefix, origin),
         repeat(spec.fill.with_origin(origin), std::max<std::int64_t>(spec.width - used, 0)),
         Str(digits, origin)},
        Str());
  }
  return pad(Str(sign + prefix + digits, origin), spec, '>');
}

Str format_text(const Str& text, const FormatSpec& spec) {
  if (spec.precision && *spec.precision >= 0) {
    return pad(text.slice_code_points(0, static_cast<std::size_t>(*spec.precision)), spec, '<');
  }
  return pad(text, spec, '<');
}

}  // namespace haq::text::jinja
