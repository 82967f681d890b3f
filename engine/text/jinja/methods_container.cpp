// SPDX-License-Identifier: GPL-3.0-or-later
// Methods of dict, list, tuple, range and numbers. Those that change their object are not here: the
// sandbox refuses them.
#include <cmath>

#include "engine/text/jinja/builtins.h"
#include "engine/text/jinja/format.h"

namespace haq::text::jinja {
namespace {

Value method_get(Interpreter&, const Value& self, const Arguments& arguments) {
  const Bound bound(arguments, "get", {"key", "default"}, 1);
  if (const Value* found = self.dict().find(bound[0])) return *found;
  return bound.has(1) ? bound[1] : Value();
}

Value method_items(Interpreter&, const Value& self, const Arguments& arguments) {
  const Bound bound(arguments, "items", {});
  std::vector<Value> entries;
  for (const auto& [key, value] : self.dict().entries) entries.push_back(make_tuple({key, value}));
  return make_sequence(std::move(entries), List::Type::kView, "dict_items");
}

Value method_keys(Interpreter&, const Value& self, const Arguments& arguments) {
  const Bound bound(arguments, "keys", {});
  std::vector<Value> keys;
  for (const auto& [key, value] : self.dict().entries) keys.push_back(key);
  return make_sequence(std::move(keys), List::Type::kView, "dict_keys");
}

Value method_values(Interpreter&, const Value& self, const Arguments& arguments) {
  const Bound bound(arguments, "values", {});
  std::vector<Value> values;
  for (const auto& [key, value] : self.dict().entries) values.push_back(value);
  return make_sequence(std::move(values), List::Type::kView, "dict_values");
}

/// Lists and dicts never change, so a copy is the same object.
Value method_copy(Interpreter&, const Value& self, const Arguments& arguments) {
  const Bound bound(arguments, "copy", {});
  return self;
}

Value method_index(Interpreter&, const Value& self, const Arguments& arguments) {
  const Bound bound(arguments, "index", {"value", "start", "stop"}, 1);
  const auto& items = self.list().items;
  const auto length = static_cast<std::int64_t>(items.size());
  const auto clamp = [&](std::int64_t index) {
    if (index < 0) index += length;
    return std::min(std::max<std::int64_t>(index, 0), length);
  };
  for (std::int64_t i = clamp(bound.integer(1, 0)); i < clamp(bound.integer(2, length)); ++i) {
    if (equal(items[static_cast<std::size_t>(i)], bound[0])) return Value(i);
  }
  fail_value("the value is not in the {}", type_name(self));
}

Value method_count(Interpreter&, const Value& self, const Arguments& arguments) {
  const Bound bound(arguments, "count", {"value"}, 1);
  std::int64_t count = 0;
  for (const Value& item : self.list().items) count += equal(item, bound[0]) ? 1 : 0;
  return Value(count, self.origin());
}

Value method_is_integer(Interpreter&, const Value& self, const Arguments&) {
  return !self.is_float() || self.number() == std::floor(self.number());
}

}  // namespace

const BuiltinTable& dict_methods() {
  static const BuiltinTable table = {
      {"get", method_get},       {"items", method_items}, {"keys", method_keys},
      {"values", method_values}, {"copy", method_copy},
  };
  return table;
}

const BuiltinTable& list_methods() {
  static const BuiltinTable table = {
      {"index", method_index}, {"count", method_count}, {"copy", method_copy}};
  return table;
}

const BuiltinTable& number_methods() {
  static const BuiltinTable table = {{"is_integer", method_is_integer}};
  return table;
}

}  // namespace haq::text::jinja
