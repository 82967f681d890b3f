// SPDX-License-Identifier: GPL-3.0-or-later
// Attributes, items, iteration and calls: what jinja's sandboxed environment decides.
#include <algorithm>

#include "engine/text/jinja/builtins.h"
#include "engine/text/jinja/depth.h"
#include "engine/text/jinja/format.h"
#include "engine/text/jinja/objects.h"

namespace haq::text::jinja {
namespace {

/// "dict object" and so on, as jinja names the object in its messages.
std::string object_name(const Value& value) {
  return value.is_none() ? "None" : std::string(type_name(value)) + " object";
}

Value missing_attribute(const Value& object, std::string_view name) {
  return make_undefined(fmt::format("'{}' has no attribute '{}'", object_name(object), name));
}

Value unsafe_attribute(const Value& object, std::string_view name) {
  return make_undefined(
      fmt::format("access to attribute '{}' of '{}' object is unsafe.", name, type_name(object)));
}

/// Attributes that exist in Python, apart from the keys of a dict. Those that begin with an
/// underscore are refused, whether they would exist or not.
std::optional<Value> real_attribute(Interpreter& interpreter, const Value& object,
                                    std::string_view name) {
  if (name.starts_with('_')) {
    // Namespaces have no such attributes at all, other objects have some, all of them unsafe.
    return name.starts_with("__") ? std::optional(unsafe_attribute(object, name)) : std::nullopt;
  }
  if (object.is_object()) return object.object()->attribute(interpreter, name);
  if (is_mutating_method(object, name)) return unsafe_attribute(object, name);
  if (object.is_list() && std::string_view(object.list().type_name) == "_GroupTuple") {
    if (name == "grouper") return object.list().items[0];
    if (name == "list") return object.list().items[1];
  }
  if (const Builtin method = find_method(object, name)) {
    return make_function(std::string(name), method, object);
  }
  return std::nullopt;
}

/// object[key] without the detour over attributes; empty when there is no such item.
std::optional<Value> real_item(const Value& object, const Value& key) {
  if (object.is_dict()) {
    if (key.is_dict() || (key.is_list() && key.list().type != List::Type::kTuple)) {
      return std::nullopt;
    }
    if (const Value* found = object.dict().find(key)) return *found;
    return std::nullopt;
  }
  if (!key.is_integral()) return std::nullopt;
  std::int64_t index = key.integer();
  if (object.is_string()) {
    const auto length = static_cast<std::int64_t>(object.str().length());
    if (index < 0) index += length;
    if (index < 0 || index >= length) return std::nullopt;
    const auto at = static_cast<std::size_t>(index);
    return object.str().slice_code_points(at, at + 1);
  }
  if (object.is_list()) {
    const List& list = object.list();
    if (list.type == List::Type::kGenerator || list.type == List::Type::kView) return std::nullopt;
    const auto length = static_cast<std::int64_t>(list.items.size());
    if (index < 0) index += length;
    if (index < 0 || index >= length) return std::nullopt;
    return list.items[static_cast<std::size_t>(index)];
  }
  return std::nullopt;
}

}  // namespace

Value Interpreter::attribute(const Value& object, std::string_view name) {
  require_defined(object);
  if (auto found = real_attribute(*this, object, name)) return *found;
  if (object.is_dict()) {
    if (const Value* found = object.dict().find(name)) return *found;
  }
  return missing_attribute(object, name);
}

Value Interpreter::item(const Value& object, const Value& key) {
  require_defined(object);
  if (auto found = real_item(object, key)) return *found;
  if (key.is_string()) {
    if (auto found = real_attribute(*this, object, key.str().view())) return *found;
    return missing_attribute(object, key.str().view());
  }
  return make_undefined(fmt::format("{} has no element {}", object_name(object), repr(key)));
}

ListPtr Interpreter::items(const Value& value) {
  static constexpr const char* kName = "list";
  if (value.is_list()) {
    const List& list = value.list();
    if (list.type != List::Type::kGenerator) return value.list_ptr();
    if (list.consumed) {
      return std::make_shared<const List>(std::vector<Value>(), List::Type::kList, kName);
    }
    list.consumed = true;
    return value.list_ptr();
  }
  std::vector<Value> all;
  if (value.is_dict()) {
    for (const auto& [key, item] : value.dict().entries) all.push_back(key);
  } else if (value.is_string()) {
    const Str& text = value.str();
    const std::string_view bytes = text.view();
    for (std::size_t at = 0; at < bytes.size();) {
      const std::size_t begin = at;
      do {
        ++at;
      } while (at < bytes.size() && (static_cast<unsigned char>(bytes[at]) & 0xc0U) == 0x80U);
      all.emplace_back(text.slice(begin, at));
    }
  } else if (!value.is_undefined()) {
    fail_value("'{}' object is not iterable", type_name(value));
  }
  return std::make_shared<const List>(std::move(all), List::Type::kList, kName);
}

Value Interpreter::call(const Value& callee, Arguments& arguments) {
  const Depth depth(*this);
  require_defined(callee);
  if (!callee.is_object() || !callee.object()->callable()) {
    fail_value("'{}' object is not callable", type_name(callee));
  }
  // A copy: the call may overwrite the variable that holds the function.
  // NOLINTNEXTLINE(performance-unnecessary-copy-initialization)
  const ObjectPtr function = callee.object();
  return function->call(*this, arguments);
}

Value Interpreter::apply_filter(std::string_view name, const Value& input,
                                const Arguments& arguments) {
  const Builtin filter = find_filter(name);
  if (filter == nullptr) fail_value("no filter named '{}'", name);
  charge(1);
  return filter(*this, input, arguments);
}

bool Interpreter::apply_test(std::string_view name, const Value& input,
                             const Arguments& arguments) {
  const Builtin test = find_test(name);
  if (test == nullptr) fail_value("no test named '{}'", name);
  charge(1);
  return truthy(test(*this, input, arguments));
}

}  // namespace haq::text::jinja
