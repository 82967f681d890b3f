// SPDX-License-Identifier: GPL-3.0-or-later
// Arguments of built-in functions, and the tables that hold the functions.
#include <algorithm>
#include <array>

#include "engine/text/jinja/builtins.h"
#include "engine/text/jinja/format.h"

namespace haq::text::jinja {
namespace {

Builtin find_in(const BuiltinTable& table, std::string_view name) {
  const auto found = table.find(name);
  return found == table.end() ? nullptr : found->second;
}

}  // namespace

Builtin find_filter(std::string_view name) {
  for (const BuiltinTable* table :
       {&text_filters(), &sequence_filters(), &selection_filters(), &conversion_filters()}) {
    if (const Builtin filter = find_in(*table, name)) return filter;
  }
  return nullptr;
}

Builtin find_test(std::string_view name) {
  return find_in(tests(), name);
}

Builtin find_method(const Value& self, std::string_view name) {
  if (self.is_string()) {
    if (const Builtin method = find_in(string_methods(), name)) return method;
    return find_in(string_search_methods(), name);
  }
  if (self.is_dict()) return find_in(dict_methods(), name);
  if (self.is_number()) return find_in(number_methods(), name);
  if (self.is_list()) {
    const List::Type type = self.list().type;
    const bool sequence =
        type == List::Type::kList || type == List::Type::kTuple || type == List::Type::kRange;
    if (!sequence || (name == "copy" && type != List::Type::kList)) return nullptr;
    return find_in(list_methods(), name);
  }
  return nullptr;
}

bool is_mutating_method(const Value& self, std::string_view name) {
  static constexpr std::array<std::string_view, 8> kList = {"append", "clear", "pop",    "reverse",
                                                            "insert", "sort",  "extend", "remove"};
  static constexpr std::array<std::string_view, 5> kDict = {"clear", "pop", "popitem", "setdefault",
                                                            "update"};
  if (self.is_list() && self.list().type == List::Type::kList) {
    return std::find(kList.begin(), kList.end(), name) != kList.end();
  }
  return self.is_dict() && std::find(kDict.begin(), kDict.end(), name) != kDict.end();
}

Bound::Bound(const Arguments& arguments, std::string_view function,
             std::initializer_list<std::string_view> parameters, std::size_t required)
    : function_(function), values_(parameters.size(), nullptr) {
  if (arguments.positional.size() > parameters.size()) {
    fail_value("{} takes at most {} arguments ({} given)", function, parameters.size(),
               arguments.positional.size());
  }
  for (std::size_t i = 0; i < arguments.positional.size(); ++i) {
    values_[i] = &arguments.positional[i];
  }
  for (const auto& [name, value] : arguments.named) {
    const auto found = std::find(parameters.begin(), parameters.end(), name.view());
    if (found == parameters.end()) {
      fail_value("{} got an unexpected keyword argument '{}'", function, name.view());
    }
    const auto index = static_cast<std::size_t>(found - parameters.begin());
    if (values_[index] != nullptr) {
      fail_value("{} got multiple values for argument '{}'", function, name.view());
    }
    values_[index] = &value;
  }
  for (std::size_t i = 0; i < required; ++i) {
    if (values_[i] == nullptr) {
      fail_value("{} misses its argument '{}'", function, *(parameters.begin() + i));
    }
  }
}

bool Bound::boolean(std::size_t index, bool otherwise) const {
  return has(index) ? truthy((*this)[index]) : otherwise;
}

std::int64_t Bound::integer(std::size_t index, std::int64_t otherwise) const {
  return has_value(index) ? require_integer((*this)[index], function_) : otherwise;
}

Str Bound::string(std::size_t index, std::string_view otherwise) const {
  return has(index) ? to_str((*this)[index]) : Str(std::string(otherwise));
}

std::int64_t require_integer(const Value& value, std::string_view function) {
  require_defined(value);
  if (!value.is_integral()) {
    fail_value("{}: expected an integer, got {}", function, type_name(value));
  }
  return value.integer();
}

const Str& require_string(const Value& value, std::string_view function) {
  require_defined(value);
  if (!value.is_string()) fail_value("{}: expected a string, got {}", function, type_name(value));
  return value.str();
}

void require_defined(const Value& value) {
  if (value.is_undefined()) fail_value("{}", *value.undefined().message);
}

Value attribute_path(Interpreter& interpreter, const Value& item, const Value& path) {
  if (path.is_none()) return item;
  if (!path.is_string()) return interpreter.item(item, path);
  Value value = item;
  const Str& text = path.str();
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.view().find('.', begin), text.size());
    const Str part = text.slice(begin, end);
    const bool digits = !part.empty() && std::all_of(part.view().begin(), part.view().end(),
                                                     [](char c) { return c >= '0' && c <= '9'; });
    const auto index = digits ? parse_int(part.view(), 10) : std::nullopt;
    value = interpreter.item(value, index ? Value(*index) : Value(part));
    begin = end + 1;
  }
  return value;
}

Value ignore_case(const Value& value) {
  return value.is_string() ? lower(value.str()) : value;
}

}  // namespace haq::text::jinja
