// SPDX-License-Identifier: GPL-3.0-or-later
#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/text/jinja/builtins.h"
#include "engine/text/jinja/format.h"

namespace haq::text::jinja {
namespace {

[[noreturn]] void overflow() {
  fail(ErrorCode::kLimit, "a number in the template needs more than 63 bits");
}

[[noreturn]] void unsupported(std::string_view op, const Value& a, const Value& b) {
  fail_value("unsupported operand type(s) for {}: '{}' and '{}'", op, type_name(a), type_name(b));
}

std::int64_t floor_divide(std::int64_t a, std::int64_t b) {
  if (a == std::numeric_limits<std::int64_t>::min() && b == -1) overflow();
  const std::int64_t quotient = a / b;
  return quotient - ((a % b != 0 && (a < 0) != (b < 0)) ? 1 : 0);
}

double float_modulo(double a, double b) {
  const double rest = std::fmod(a, b);
  return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

std::int64_t integer_power(std::int64_t base, std::int64_t exponent) {
  std::int64_t result = 1;
  while (exponent > 0) {
    if ((exponent & 1) != 0 && __builtin_mul_overflow(result, base, &result)) overflow();
    exponent >>= 1;
    if (exponent > 0 && __builtin_mul_overflow(base, base, &base)) overflow();
  }
  return result;
}

Value integer_operator(std::string_view op, std::int64_t a, std::int64_t b, Origin origin) {
  std::int64_t result = 0;
  if (op == "+") {
    if (__builtin_add_overflow(a, b, &result)) overflow();
  } else if (op == "-") {
    if (__builtin_sub_overflow(a, b, &result)) overflow();
  } else if (op == "*") {
    if (__builtin_mul_overflow(a, b, &result)) overflow();
  } else if (op == "**") {
    if (b < 0) {
      if (a == 0) fail_value("0.0 cannot be raised to a negative power");
      return Value(std::pow(static_cast<double>(a), static_cast<double>(b)), origin);
    }
    // Without this, 1 ** n and (-1) ** n would be fine and every other base overflows soon.
    result = integer_power(a, b);
  } else {
    if (b == 0) fail_value("division by zero");
    if (op == "/") return Value(static_cast<double>(a) / static_cast<double>(b), origin);
    const std::int64_t quotient = floor_divide(a, b);
    result = op == "//" ? quotient : a - quotient * b;
  }
  return Value(result, origin);
}

Value float_operator(std::string_view op, double a, double b, Origin origin) {
  if (op == "+") return Value(a + b, origin);
  if (op == "-") return Value(a - b, origin);
  if (op == "*") return Value(a * b, origin);
  if (op == "**") {
    const double power = std::pow(a, b);
    if (std::isnan(power) && !std::isnan(a) && !std::isnan(b)) {
      fail_value("a negative number cannot be raised to a fractional power");
    }
    return Value(power, origin);
  }
  if (b == 0) fail_value("float division by zero");
  if (op == "/") return Value(a / b, origin);
  if (op == "//") return Value(std::floor((a - float_modulo(a, b)) / b + 0.25), origin);
  return Value(float_modulo(a, b), origin);
}

Value repeat_list(const List& list, std::int64_t count) {
  std::vector<Value> items;
  if (count > 0) {
    const auto times = static_cast<std::size_t>(count);
    if (!list.items.empty()) {
      check_size(times);  // so that the product cannot overflow
      check_size(list.items.size() * times * sizeof(Value));
    }
    items.reserve(list.items.size() * times);
    for (std::size_t i = 0; i < times && !list.items.empty(); ++i) {
      items.insert(items.end(), list.items.begin(), list.items.end());
    }
  }
  return make_sequence(std::move(items), list.type, list.type_name);
}

bool is_plain_sequence(const Value& value) {
  return value.is_list() &&
         (value.list().type == List::Type::kList || value.list().type == List::Type::kTuple);
}

Value add_lists(const Value& a, const Value& b) {
  if (a.list().type != b.list().type) {
    fail_value("can only concatenate {} (not \"{}\") to {}", type_name(a), type_name(b),
               type_name(a));
  }
  std::vector<Value> items = a.list().items;
  items.insert(items.end(), b.list().items.begin(), b.list().items.end());
  return make_sequence(std::move(items), a.list().type, type_name(a));
}

}  // namespace

Value binary_operator(std::string_view op, const Value& a, const Value& b) {
  require_defined(a);
  if (op == "%" && a.is_string()) return percent_format(a.str(), b);
  require_defined(b);
  if (a.is_number() && b.is_number()) {
    const Origin origin = a.origin() | b.origin();
    if (a.is_integral() && b.is_integral()) {
      return integer_operator(op, a.integer(), b.integer(), origin);
    }
    return float_operator(op, a.number(), b.number(), origin);
  }
  if (op == "+") {
    if (a.is_string() && b.is_string()) {
      StrBuilder out;
      out.append(a.str());
      out.append(b.str());
      return out.finish();
    }
    if (a.is_string()) {
      fail_value("can only concatenate str (not \"{}\") to str", type_name(b));
    }
    if (is_plain_sequence(a) && is_plain_sequence(b)) return add_lists(a, b);
  }
  if (op == "*") {
    if (a.is_string() && b.is_integral()) return repeat(a.str(), b.integer());
    if (b.is_string() && a.is_integral()) return repeat(b.str(), a.integer());
    if (is_plain_sequence(a) && b.is_integral()) return repeat_list(a.list(), b.integer());
    if (is_plain_sequence(b) && a.is_integral()) return repeat_list(b.list(), a.integer());
  }
  unsupported(op, a, b);
}

Value negate(const Value& value) {
  require_defined(value);
  if (value.is_float()) return Value(-value.number(), value.origin());
  if (!value.is_integral()) fail_value("bad operand type for unary -: '{}'", type_name(value));
  return integer_operator("-", 0, value.integer(), value.origin());
}

bool contains(Interpreter& interpreter, const Value& container, const Value& item) {
  if (container.is_string()) {
    if (!item.is_string()) {
      fail_value("'in <string>' requires string as left operand, not {}", type_name(item));
    }
    charge(container.str().size() / 64);
    return container.str().view().find(item.str().view()) != std::string_view::npos;
  }
  if (container.is_dict()) return container.dict().find(item) != nullptr;
  if (container.is_object() || container.is_number() || container.is_none()) {
    fail_value("argument of type '{}' is not iterable", type_name(container));
  }
  const ListPtr all = interpreter.items(container);
  return std::any_of(all->items.begin(), all->items.end(),
                     [&](const Value& other) { return equal(other, item); });
}

bool compare(Interpreter& interpreter, std::string_view op, const Value& a, const Value& b) {
  if (op == "==") return equal(a, b);
  if (op == "!=") return !equal(a, b);
  if (op == "in") return contains(interpreter, b, a);
  if (op == "not in") return !contains(interpreter, b, a);
  if (op == "<") return less(a, b);
  if (op == ">") return less(b, a);
  // NaN is neither less nor equal, so <= is not the negation of >.
  if (op == "<=") return less(a, b) || equal(a, b);
  return less(b, a) || equal(a, b);
}

}  // namespace haq::text::jinja
