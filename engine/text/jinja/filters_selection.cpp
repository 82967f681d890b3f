// SPDX-License-Identifier: GPL-3.0-or-later
// Filters that apply other filters and tests, and those that choose between values.
#include "engine/text/jinja/builtins.h"
#include "engine/text/jinja/format.h"

namespace haq::text::jinja {
namespace {

Value make_generator(std::vector<Value> items) {
  return make_sequence(std::move(items), List::Type::kGenerator, "generator");
}

/// The arguments after the first `count` positional ones.
Arguments rest_of(const Arguments& arguments, std::size_t count) {
  Arguments rest;
  rest.positional.assign(arguments.positional.begin() + static_cast<std::ptrdiff_t>(count),
                         arguments.positional.end());
  rest.named = arguments.named;
  return rest;
}

Value filter_map(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
  std::vector<Value> results;
  if (arguments.positional.empty()) {
    const Bound bound(arguments, "map", {"attribute", "default"}, 1);
    const ListPtr all = interpreter.items(self);
    for (const Value& item : all->items) {
      Value value = attribute_path(interpreter, item, bound[0]);
      if (value.is_undefined() && bound.has_value(1)) value = bound[1];
      results.push_back(std::move(value));
    }
    return make_generator(std::move(results));
  }
  const Str name = require_string(arguments.positional.front(), "map");
  const Arguments rest = rest_of(arguments, 1);
  const ListPtr all = interpreter.items(self);
  for (const Value& item : all->items) {
    results.push_back(interpreter.apply_filter(name.view(), item, rest));
  }
  return make_generator(std::move(results));
}

/// select, reject and their attr forms: `wanted` is the result that keeps an item.
Value choose(Interpreter& interpreter, const Value& self, const Arguments& arguments, bool wanted,
             bool by_attribute) {
  const std::size_t skip = by_attribute ? 1 : 0;
  if (arguments.positional.size() < skip) fail_value("misses the name of the attribute");
  const bool has_test = arguments.positional.size() > skip;
  Str test;
  if (has_test) test = require_string(arguments.positional[skip], "select");
  const Arguments rest = has_test ? rest_of(arguments, skip + 1) : Arguments{};
  const ListPtr all = interpreter.items(self);
  std::vector<Value> kept;
  for (const Value& item : all->items) {
    const Value value =
        by_attribute ? attribute_path(interpreter, item, arguments.positional[0]) : item;
    charge(1);
    const bool result = has_test ? interpreter.apply_test(test.view(), value, rest) : truthy(value);
    if (result == wanted) kept.push_back(item);
  }
  return make_generator(std::move(kept));
}

Value filter_select(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
  return choose(interpreter, self, arguments, true, false);
}

Value filter_reject(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
  return choose(interpreter, self, arguments, false, false);
}

Value filter_selectattr(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
  return choose(interpreter, self, arguments, true, true);
}

Value filter_rejectattr(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
  return choose(interpreter, self, arguments, false, true);
}

Value filter_default(Interpreter&, const Value& self, const Arguments& arguments) {
  const Bound bound(arguments, "default", {"default_value", "boolean"});
  if (self.is_undefined() || (bound.boolean(1, false) && !truthy(self))) {
    return bound.has(0) ? bound[0] : Value(Str());
  }
  return self;
}

/// Attributes only: unlike the dot, it never sees the keys of a dict.
Value filter_attr(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
  const Bound bound(arguments, "attr", {"name"}, 1);
  const Str name = to_str(bound[0]);
  if (self.is_dict() && find_method(self, name.view()) == nullptr) {
    return make_undefined(fmt::format("'dict object' has no attribute '{}'", name.view()));
  }
  return interpreter.attribute(self, name.view());
}

}  // namespace

const BuiltinTable& selection_filters() {
  static const BuiltinTable table = {
      {"map", filter_map},
      {"select", filter_select},
      {"reject", filter_reject},
      {"selectattr", filter_selectattr},
      {"rejectattr", filter_rejectattr},
      {"default", filter_default},
      {"d", filter_default},
      {"attr", filter_attr},
  };
  return table;
}

}  // namespace haq::text::jinja
