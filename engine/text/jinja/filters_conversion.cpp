// SPDX-License-Identifier: GPL-3.0-or-later
// Filters between types: numbers and JSON.
#include <cmath>

#include "engine/text/jinja/builtins.h"
#include "engine/text/jinja/format.h"

namespace haq::text::jinja {
namespace {

/// int(number) for a float; empty for what Python refuses (nan, inf).
std::optional<std::int64_t> truncate(double number) {
  if (!std::isfinite(number)) return std::nullopt;
  if (std::abs(number) >= 9.2e18) {
    fail(ErrorCode::kLimit, "a number in the template needs more than 63 bits");
  }
  return static_cast<std::int64_t>(number);
}

Value filter_int(Interpreter&, const Value& self, const Arguments& arguments) {
  const Bound bound(arguments, "int", {"default", "base"});
  require_defined(self);
  std::optional<std::int64_t> number;
  if (self.is_integral()) {
    number = self.integer();
  } else if (self.is_float()) {
    number = truncate(self.number());
  } else if (self.is_string()) {
    number = parse_int(self.str().view(), static_cast<int>(bound.integer(1, 10)));
    if (!number) {
      if (const auto real = parse_float(self.str().view())) number = truncate(*real);
    }
  }
  if (number) return Value(*number, self.origin());
  return bound.has(0) ? bound[0] : Value(std::int64_t{0});
}

Value filter_float(Interpreter&, const Value& self, const Arguments& arguments) {
  const Bound bound(arguments, "float", {"default"});
  require_defined(self);
  if (self.is_number()) return Value(self.number(), self.origin());
  if (self.is_string()) {
    if (const auto number = parse_float(self.str().view())) return Value(*number, self.origin());
  }
  return bound.has(0) ? bound[0] : Value(0.0);
}

Value filter_abs(Interpreter&, const Value& self, const Arguments&) {
  require_defined(self);
  if (!self.is_number()) fail_value("bad operand type for abs(): '{}'", type_name(self));
  if (self.is_float()) return Value(std::abs(self.number()), self.origin());
  return self.integer() < 0 ? negate(self) : Value(self.integer(), self.origin());
}

/// Python's round(): correctly rounded in decimal, ties to even.
double round_decimal(double value, std::int64_t digits) {
  if (!std::isfinite(value)) return value;
  if (digits > 322) return value;
  if (digits < -308) return std::copysign(0.0, value);
  if (digits >= 0) {
    return parse_float(fmt::format("{:.{}f}", value, static_cast<int>(digits))).value_or(value);
  }
  const double power = std::pow(10.0, static_cast<double>(-digits));
  return std::nearbyint(value / power) * power;
}

Value filter_round(Interpreter&, const Value& self, const Arguments& arguments) {
  const Bound bound(arguments, "round", {"precision", "method"});
  require_defined(self);
  if (!self.is_number()) fail_value("type {} has no rounding", type_name(self));
  const std::int64_t digits = bound.integer(0, 0);
  const Str method = bound.string(1, "common");
  if (method.view() == "common") {
    if (!self.is_float() && digits >= 0) return Value(self.integer(), self.origin());
    const double rounded = round_decimal(self.number(), digits);
    if (self.is_float()) return Value(rounded, self.origin());
    return Value(truncate(rounded).value_or(0), self.origin());
  }
  if (method.view() != "ceil" && method.view() != "floor") {
    fail_value("method must be common, ceil or floor");
  }
  const double power = std::pow(10.0, static_cast<double>(digits));
  const double scaled = self.number() * power;
  const double whole = method.view() == "ceil" ? std::ceil(scaled) : std::floor(scaled);
  return Value(whole / power, self.origin());
}

/// With the signature that transformers gives it, not jinja's own.
Value filter_tojson(Interpreter&, const Value& self, const Arguments& arguments) {
  const Bound bound(arguments, "tojson", {"ensure_ascii", "indent", "separators", "sort_keys"});
  JsonStyle style;
  style.ensure_ascii = bound.boolean(0, false);
  style.sort_keys = bound.boolean(3, false);
  if (bound.has_value(1)) {
    style.indented = true;
    style.item_separator = Str(",");
    style.indent = bound[1].is_string() ? bound[1].str() : repeat(Str(" "), bound.integer(1, 0));
  }
  if (bound.has_value(2)) {
    const Value& separators = bound[2];
    if (!separators.is_list() || separators.list().items.size() != 2) {
      fail_value("tojson: expected two separators");
    }
    style.item_separator = require_string(separators.list().items[0], "tojson");
    style.key_separator = require_string(separators.list().items[1], "tojson");
  }
  StrBuilder out;
  append_json(out, self, style);
  return out.finish();
}

}  // namespace

const BuiltinTable& conversion_filters() {
  static const BuiltinTable table = {
      {"int", filter_int},     {"float", filter_float},   {"abs", filter_abs},
      {"round", filter_round}, {"tojson", filter_tojson},
  };
  return table;
}

}  // namespace haq::text::jinja
