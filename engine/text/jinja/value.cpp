// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/text/jinja/value.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "engine/text/jinja/format.h"

namespace haq::text::jinja {
namespace {

/// Containers are immutable, so their depth is known when they are made; a bound on it keeps every
/// recursive walk (printing, comparing, destroying) off the end of the stack.
constexpr int kMaxContainerDepth = 120;
constexpr std::size_t kIndexFrom = 9;  // entries; below, a linear search is faster

int depth_of(const Value& value) {
  if (value.is_list()) return value.list().depth;
  if (value.is_dict()) return value.dict().depth;
  return 0;
}

void check_depth(int depth) {
  if (depth > kMaxContainerDepth) {
    fail(ErrorCode::kLimit, "a list or dict is nested deeper than {} levels", kMaxContainerDepth);
  }
}

}  // namespace

Origin Value::origin() const {
  if (is_string()) return str().origin();
  if (is_list()) return list().origin;
  if (is_dict()) return dict().origin;
  return origin_;
}

List::List(std::vector<Value> the_items, Type the_type, const char* the_type_name)
    : items(std::move(the_items)),
      type(the_type),
      type_name(the_type_name),
      lease(sizeof(List) + items.capacity() * sizeof(Value)) {
  charge(1 + items.size() / 8);
  for (const Value& item : items) {
    depth = std::max(depth, depth_of(item) + 1);
    origin = origin | item.origin();
  }
  check_depth(depth);
}

Dict::Dict(std::vector<std::pair<Value, Value>>&& the_entries)
    : lease(sizeof(Dict) + the_entries.size() * (sizeof(std::pair<Value, Value>) + 64)) {
  charge(1 + the_entries.size());
  entries.reserve(the_entries.size());
  const bool indexed = the_entries.size() >= kIndexFrom;
  std::unordered_map<std::string, std::size_t> seen;
  for (auto& [key, value] : the_entries) {
    depth = std::max({depth, depth_of(value) + 1, depth_of(key) + 1});
    origin = origin | key.origin() | value.origin();
    const auto [place, is_new] = seen.emplace(hash_key(key), entries.size());
    if (is_new) {
      entries.emplace_back(std::move(key), std::move(value));
    } else {
      entries[place->second].second = std::move(value);
    }
  }
  if (indexed) index_ = std::move(seen);
  check_depth(depth);
}

const Value* Dict::find(const Value& key) const {
  if (key.is_string()) return find(key.str().view());
  const std::string wanted = hash_key(key);
  charge(1 + entries.size() / 8);
  for (const auto& [name, value] : entries) {
    if (!name.is_string() && hash_key(name) == wanted) return &value;
  }
  return nullptr;
}

const Value* Dict::find(std::string_view key) const {
  if (!index_.empty()) {
    const auto found = index_.find(fmt::format("s{}", key));
    return found == index_.end() ? nullptr : &entries[found->second].second;
  }
  for (const auto& [name, value] : entries) {
    if (name.is_string() && name.str().view() == key) return &value;
  }
  return nullptr;
}

Value Object::call(Interpreter&, Arguments&) {
  fail_value("'{}' object is not callable", type_name());
}

std::optional<Value> Object::attribute(Interpreter&, std::string_view) {
  return std::nullopt;
}

Value make_sequence(std::vector<Value> items, List::Type type, const char* type_name) {
  return ListPtr(std::make_shared<const List>(std::move(items), type, type_name));
}

Value make_list(std::vector<Value> items) {
  return make_sequence(std::move(items), List::Type::kList, "list");
}

Value make_tuple(std::vector<Value> items) {
  return make_sequence(std::move(items), List::Type::kTuple, "tuple");
}

Value make_dict(std::vector<std::pair<Value, Value>> entries) {
  return DictPtr(std::make_shared<const Dict>(std::move(entries)));
}

Value make_string(std::string_view text) {
  return Str(std::string(text));
}

Value make_undefined(std::string message) {
  return Undefined{std::make_shared<const std::string>(std::move(message))};
}

namespace {

Value convert(const nlohmann::ordered_json& json, Origin origin, int depth) {
  check_depth(depth);
  switch (json.type()) {
    case nlohmann::ordered_json::value_t::boolean:
      return Value(json.get<bool>(), origin);
    case nlohmann::ordered_json::value_t::number_integer:
      return Value(json.get<std::int64_t>(), origin);
    case nlohmann::ordered_json::value_t::number_unsigned: {
      const auto number = json.get<std::uint64_t>();
      if (number > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
        fail(ErrorCode::kLimit, "the number {} in the template's input needs more than 63 bits",
             number);
      }
      return Value(static_cast<std::int64_t>(number), origin);
    }
    case nlohmann::ordered_json::value_t::number_float:
      return Value(json.get<double>(), origin);
    case nlohmann::ordered_json::value_t::string:
      return Str(json.get_ref<const std::string&>(), origin);
    case nlohmann::ordered_json::value_t::array: {
      std::vector<Value> items;
      items.reserve(json.size());
      for (const auto& item : json) items.push_back(convert(item, origin, depth + 1));
      return make_list(std::move(items));
    }
    case nlohmann::ordered_json::value_t::object: {
      std::vector<std::pair<Value, Value>> entries;
      entries.reserve(json.size());
      for (const auto& [key, item] : json.items()) {
        entries.emplace_back(Str(key, origin), convert(item, origin, depth + 1));
      }
      return make_dict(std::move(entries));
    }
    default:
      return None{};
  }
}

bool equal_lists(const List& a, const List& b) {
  if (a.type != b.type || a.items.size() != b.items.size()) return false;
  return std::equal(a.items.begin(), a.items.end(), b.items.begin(), equal);
}

bool equal_dicts(const Dict& a, const Dict& b) {
  if (a.entries.size() != b.entries.size()) return false;
  return std::all_of(a.entries.begin(), a.entries.end(), [&](const auto& entry) {
    const Value* other = b.find(entry.first);
    return other != nullptr && equal(entry.second, *other);
  });
}

}  // namespace

Value from_json(const nlohmann::ordered_json& json, Origin origin) {
  return convert(json, origin, 0);
}

const char* type_name(const Value& value) {
  if (value.is_undefined()) return "Undefined";
  if (value.is_none()) return "NoneType";
  if (value.is_bool()) return "bool";
  if (value.is_int()) return "int";
  if (value.is_float()) return "float";
  if (value.is_string()) return "str";
  if (value.is_list()) return value.list().type_name;
  if (value.is_dict()) return "dict";
  return value.object()->type_name();
}

bool truthy(const Value& value) {
  if (value.is_undefined() || value.is_none()) return false;
  if (value.is_number()) return value.number() != 0;
  if (value.is_string()) return !value.str().empty();
  if (value.is_list()) {
    return value.list().type == List::Type::kGenerator || !value.list().items.empty();
  }
  if (value.is_dict()) return !value.dict().entries.empty();
  return true;
}

bool equal(const Value& a, const Value& b) {
  charge(1);
  if (a.is_number() && b.is_number()) {
    if (a.is_integral() && b.is_integral()) return a.integer() == b.integer();
    return a.number() == b.number();
  }
  if (a.is_string() && b.is_string()) {
    charge(std::min(a.str().size(), b.str().size()) / 256);
    return a.str() == b.str();
  }
  if (a.is_list() && b.is_list()) {
    return a.list_ptr() == b.list_ptr() || equal_lists(a.list(), b.list());
  }
  if (a.is_dict() && b.is_dict()) {
    return a.dict_ptr() == b.dict_ptr() || equal_dicts(a.dict(), b.dict());
  }
  if (a.is_object() && b.is_object()) return a.object() == b.object();
  return (a.is_none() && b.is_none()) || (a.is_undefined() && b.is_undefined());
}

bool less(const Value& a, const Value& b) {
  charge(1);
  if (a.is_undefined()) fail_value("{}", *a.undefined().message);
  if (b.is_undefined()) fail_value("{}", *b.undefined().message);
  if (a.is_number() && b.is_number()) {
    if (a.is_integral() && b.is_integral()) return a.integer() < b.integer();
    return a.number() < b.number();
  }
  // Code point order is the order of UTF-8 bytes.
  if (a.is_string() && b.is_string()) {
    charge(std::min(a.str().size(), b.str().size()) / 256);
    return a.str().view() < b.str().view();
  }
  if (a.is_list() && b.is_list() && a.list().type == b.list().type) {
    const auto& x = a.list().items;
    const auto& y = b.list().items;
    for (std::size_t i = 0; i < std::min(x.size(), y.size()); ++i) {
      if (!equal(x[i], y[i])) return less(x[i], y[i]);
    }
    return x.size() < y.size();
  }
  fail_value("'<' not supported between instances of '{}' and '{}'", type_name(a), type_name(b));
}

std::string hash_key(const Value& value) {
  if (value.is_string()) return fmt::format("s{}", value.str().view());
  if (value.is_integral()) return fmt::format("n{}", value.integer());
  if (value.is_float()) {
    const double number = value.number();
    // An integral float is the same key as the int.
    if (number == std::floor(number) && std::abs(number) < 9e18) {
      return fmt::format("n{}", static_cast<std::int64_t>(number));
    }
    return fmt::format("f{}", format_float(number));
  }
  if (value.is_none()) return "N";
  if (value.is_undefined()) return "U";
  if (value.is_list() && value.list().type == List::Type::kTuple) {
    std::string key = "(";
    for (const Value& item : value.list().items) {
      const std::string part = hash_key(item);
      key += fmt::format("{}:{}", part.size(), part);
      check_size(key.size());
    }
    return key;
  }
  if (value.is_object()) return fmt::format("o{}", fmt::ptr(value.object().get()));
  fail_value("unhashable type: '{}'", type_name(value));
}

}  // namespace haq::text::jinja
