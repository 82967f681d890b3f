// SPDX-License-Identifier: GPL-3.0-or-later
// Tests: what stands behind "is".
#include "engine/text/jinja/builtins.h"
#include "engine/text/jinja/format.h"
#include "engine/text/jinja/unicode.h"

namespace haq::text::jinja {
namespace {

template <bool (*Predicate)(const Value&)>
Value test(Interpreter&, const Value& self, const Arguments& arguments) {
  const Bound bound(arguments, "the test", {});
  return Predicate(self);
}

bool is_defined(const Value& v) {
  return !v.is_undefined();
}
bool is_undefined(const Value& v) {
  return v.is_undefined();
}
bool is_none(const Value& v) {
  return v.is_none();
}
bool is_boolean(const Value& v) {
  return v.is_bool();
}
bool is_true(const Value& v) {
  return v.is_bool() && v.boolean();
}
bool is_false(const Value& v) {
  return v.is_bool() && !v.boolean();
}
bool is_integer(const Value& v) {
  return v.is_int();
}
bool is_float(const Value& v) {
  return v.is_float();
}
bool is_number(const Value& v) {
  return v.is_number();
}
bool is_string(const Value& v) {
  return v.is_string();
}
bool is_mapping(const Value& v) {
  return v.is_dict();
}
bool is_escaped(const Value&) {
  return false;
}

// Undefined has __iter__, __len__, __getitem__ and __call__ in Python, hence the surprises below.
bool is_iterable(const Value& v) {
  return v.is_undefined() || v.is_string() || v.is_list() || v.is_dict();
}

bool is_sequence(const Value& v) {
  if (v.is_list()) {
    return v.list().type != List::Type::kGenerator && v.list().type != List::Type::kView;
  }
  return v.is_undefined() || v.is_string() || v.is_dict();
}

bool is_callable(const Value& v) {
  return v.is_undefined() || (v.is_object() && v.object()->callable());
}

bool is_odd(const Value& v) {
  return equal(binary_operator("%", v, Value(std::int64_t{2})), Value(std::int64_t{1}));
}

bool is_even(const Value& v) {
  return equal(binary_operator("%", v, Value(std::int64_t{2})), Value(std::int64_t{0}));
}

/// str.islower and str.isupper: all cased characters of one case, and at least one of them.
bool all_cased(const Value& v, bool (*wanted)(CodePoint)) {
  const Str text = to_str(v);
  bool any = false;
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint code = next_code_point(text.view(), at);
    if (!is_cased(code)) continue;
    if (!wanted(code)) return false;
    any = true;
  }
  return any;
}

bool is_lower_case(const Value& v) {
  return all_cased(v, is_lower);
}
bool is_upper_case(const Value& v) {
  return all_cased(v, is_upper);
}
bool is_filter(const Value& v) {
  return v.is_string() && find_filter(v.str().view()) != nullptr;
}
bool is_test(const Value& v) {
  return v.is_string() && find_test(v.str().view()) != nullptr;
}

template <const char* Operator>
Value comparison(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
  const Bound bound(arguments, "the test", {"other"}, 1);
  return compare(interpreter, Operator, self, bound[0]);
}

constexpr char kEqual[] = "==";
constexpr char kNotEqual[] = "!=";
constexpr char kLess[] = "<";
constexpr char kLessEqual[] = "<=";
constexpr char kGreater[] = ">";
constexpr char kGreaterEqual[] = ">=";
constexpr char kIn[] = "in";

Value test_divisible(Interpreter&, const Value& self, const Arguments& arguments) {
  const Bound bound(arguments, "divisibleby", {"num"}, 1);
  return equal(binary_operator("%", self, bound[0]), Value(std::int64_t{0}));
}

Value test_same(Interpreter&, const Value& self, const Arguments& arguments) {
  const Bound bound(arguments, "sameas", {"other"}, 1);
  const Value& other = bound[0];
  if (self.is_list() && other.is_list()) return self.list_ptr() == other.list_ptr();
  if (self.is_dict() && other.is_dict()) return self.dict_ptr() == other.dict_ptr();
  if (self.is_bool() != other.is_bool() || self.is_float() != other.is_float()) return false;
  return equal(self, other);
}

}  // namespace

const BuiltinTable& tests() {
  static const BuiltinTable table = {
      {"defined", test<is_defined>},
      {"undefined", test<is_undefined>},
      {"none", test<is_none>},
      {"boolean", test<is_boolean>},
      {"true", test<is_true>},
      {"false", test<is_false>},
      {"integer", test<is_integer>},
      {"float", test<is_float>},
      {"number", test<is_number>},
      {"string", test<is_string>},
      {"mapping", test<is_mapping>},
      {"iterable", test<is_iterable>},
      {"sequence", test<is_sequence>},
      {"callable", test<is_callable>},
      {"escaped", test<is_escaped>},
      {"odd", test<is_odd>},
      {"even", test<is_even>},
      {"lower", test<is_lower_case>},
      {"upper", test<is_upper_case>},
      {"filter", test<is_filter>},
      {"test", test<is_test>},
      {"divisibleby", test_divisible},
      {"sameas", test_same},
      {"in", comparison<kIn>},
      {"==", comparison<kEqual>},
      {"eq", comparison<kEqual>},
      {"equalto", comparison<kEqual>},
      {"!=", comparison<kNotEqual>},
      {"ne", comparison<kNotEqual>},
      {"<", comparison<kLess>},
      {"lt", comparison<kLess>},
      {"lessthan", comparison<kLess>},
      {"<=", comparison<kLessEqual>},
      {"le", comparison<kLessEqual>},
      {">", comparison<kGreater>},
      {"gt", comparison<kGreater>},
      {"greaterthan", comparison<kGreater>},
      {">=", comparison<kGreaterEqual>},
      {"ge", comparison<kGreaterEqual>},
  };
  return table;
}

}  // namespace haq::text::jinja
