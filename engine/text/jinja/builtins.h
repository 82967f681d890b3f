// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <initializer_list>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/text/jinja/interpreter.h"

namespace haq::text::jinja {

/// A filter (self is its input), a test (the result is a bool) or a method (self is its object).
using Builtin = Value (*)(Interpreter& interpreter, const Value& self, const Arguments& arguments);
using BuiltinTable = std::unordered_map<std::string_view, Builtin>;

/// nullptr when there is none of that name.
Builtin find_filter(std::string_view name);
Builtin find_test(std::string_view name);
/// Of the Python type of `self`.
Builtin find_method(const Value& self, std::string_view name);
/// Methods that change a list or dict: known, but refused by the sandbox.
bool is_mutating_method(const Value& self, std::string_view name);
/// Functions every template can call: range, dict, namespace, cycler, joiner, raise_exception ...
std::vector<std::pair<std::string, Value>> global_functions();

// The tables the finders look through, one per source file.
const BuiltinTable& text_filters();
const BuiltinTable& sequence_filters();
const BuiltinTable& selection_filters();
const BuiltinTable& conversion_filters();
const BuiltinTable& tests();
const BuiltinTable& string_methods();
const BuiltinTable& string_search_methods();
const BuiltinTable& list_methods();
const BuiltinTable& dict_methods();
const BuiltinTable& number_methods();

/// Arguments matched to parameter names, as Python does it. Throws for too many, too few, unknown
/// or doubled arguments.
class Bound {
 public:
  Bound(const Arguments& arguments, std::string_view function,
        std::initializer_list<std::string_view> parameters, std::size_t required = 0);
  bool has(std::size_t index) const { return values_[index] != nullptr; }
  /// Not given and None are the same to most functions.
  bool has_value(std::size_t index) const { return has(index) && !values_[index]->is_none(); }
  const Value& operator[](std::size_t index) const { return *values_[index]; }
  bool boolean(std::size_t index, bool otherwise) const;
  std::int64_t integer(std::size_t index, std::int64_t otherwise) const;
  Str string(std::size_t index, std::string_view otherwise) const;

 private:
  std::string_view function_;
  std::vector<const Value*> values_;
};

/// The value as an int; throws "FUNCTION: expected an integer, got TYPE".
std::int64_t require_integer(const Value& value, std::string_view function);
/// Throws unless the value is a string.
const Str& require_string(const Value& value, std::string_view function);
/// Throws the value's own message if it is undefined.
void require_defined(const Value& value);

/// Value of "a.b.0" within `item`, for the attribute argument of map, sort and the like.
Value attribute_path(Interpreter& interpreter, const Value& item, const Value& path);
/// Lower case for strings, everything else as it is: how jinja sorts unless told otherwise.
Value ignore_case(const Value& value);

// Operators.
Value binary_operator(std::string_view op, const Value& a, const Value& b);
Value negate(const Value& value);
bool compare(Interpreter& interpreter, std::string_view op, const Value& a, const Value& b);
bool contains(Interpreter& interpreter, const Value& container, const Value& item);

// Strings.
Str percent_format(const Str& format, const Value& arguments);
Str brace_format(Interpreter& interpreter, const Str& format, const Arguments& arguments);
Str repeat(const Str& text, std::int64_t count);
Str upper(const Str& text);
Str lower(const Str& text);
Str capitalize(const Str& text);
/// Python's str.strip: `chars` empty means whitespace.
Str strip(const Str& text, const std::optional<Str>& chars, bool left, bool right);
/// Where user data decides what is replaced, the result is user data: it chose what grows together.
Str replace(const Str& text, const Str& old, const Str& with, std::int64_t count);
std::vector<Str> split_lines(const Str& text, bool keep_ends);
Str join(const std::vector<Str>& parts, const Str& separator);
/// Python's int(text) and float(text); empty when the text is no number.
std::optional<std::int64_t> parse_int(std::string_view text, int base);
std::optional<double> parse_float(std::string_view text);

/// The clock in local time, formatted as Python's datetime.strftime does.
std::string format_time(std::chrono::system_clock::time_point time, const std::string& format);

}  // namespace haq::text::jinja
