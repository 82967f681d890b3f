// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "engine/base/error.h"
#include "engine/text/jinja/str.h"

namespace haq::text::jinja {

class Interpreter;
class Object;
class Value;
struct Arguments;
struct Dict;
struct List;

using ListPtr = std::shared_ptr<const List>;
using DictPtr = std::shared_ptr<const Dict>;
using ObjectPtr = std::shared_ptr<Object>;

/// A missing variable or attribute: prints as nothing, is false and iterates over nothing; any
/// other use fails with `message`.
struct Undefined {
  std::shared_ptr<const std::string> message;
};

struct None {};

/// A Python value as templates see it. Numbers and booleans from user data remember that, so that
/// their printed form is user data too. Cheap to copy; strings, lists and dicts are immutable.
class Value {
 public:
  Value() : data_(None{}) {}
  Value(None) : data_(None{}) {}                               // NOLINT
  Value(Undefined undefined) : data_(std::move(undefined)) {}  // NOLINT
  Value(bool value, Origin origin = Origin::kTemplate)         // NOLINT
      : data_(value), origin_(origin) {}
  Value(std::int64_t value, Origin origin = Origin::kTemplate)  // NOLINT
      : data_(value), origin_(origin) {}
  Value(double value, Origin origin = Origin::kTemplate)  // NOLINT
      : data_(value), origin_(origin) {}
  Value(Str text) : data_(std::move(text)) {}            // NOLINT
  Value(ListPtr list) : data_(std::move(list)) {}        // NOLINT
  Value(DictPtr dict) : data_(std::move(dict)) {}        // NOLINT
  Value(ObjectPtr object) : data_(std::move(object)) {}  // NOLINT
  Value(const void*) = delete;  // no accidental conversion of a pointer to bool

  bool is_undefined() const { return std::holds_alternative<Undefined>(data_); }
  bool is_none() const { return std::holds_alternative<None>(data_); }
  bool is_bool() const { return std::holds_alternative<bool>(data_); }
  bool is_int() const { return std::holds_alternative<std::int64_t>(data_); }
  bool is_float() const { return std::holds_alternative<double>(data_); }
  bool is_string() const { return std::holds_alternative<Str>(data_); }
  bool is_list() const { return std::holds_alternative<ListPtr>(data_); }
  bool is_dict() const { return std::holds_alternative<DictPtr>(data_); }
  bool is_object() const { return std::holds_alternative<ObjectPtr>(data_); }
  /// int or bool (a bool is an int in Python).
  bool is_integral() const { return is_int() || is_bool(); }
  bool is_number() const { return is_integral() || is_float(); }

  /// The caller has checked the kind.
  const Undefined& undefined() const { return *std::get_if<Undefined>(&data_); }
  bool boolean() const { return *std::get_if<bool>(&data_); }
  const Str& str() const { return *std::get_if<Str>(&data_); }
  const List& list() const { return **std::get_if<ListPtr>(&data_); }
  const ListPtr& list_ptr() const { return *std::get_if<ListPtr>(&data_); }
  const Dict& dict() const { return **std::get_if<DictPtr>(&data_); }
  const DictPtr& dict_ptr() const { return *std::get_if<DictPtr>(&data_); }
  const ObjectPtr& object() const { return *std::get_if<ObjectPtr>(&data_); }
  /// Of an int or a bool.
  std::int64_t integer() const {
    return is_bool() ? (boolean() ? 1 : 0) : *std::get_if<std::int64_t>(&data_);
  }
  /// Of any number.
  double number() const {
    return is_float() ? *std::get_if<double>(&data_) : static_cast<double>(integer());
  }

  /// Origin of the whole value: kUser when anything inside came from user data.
  Origin origin() const;

 private:
  std::variant<None, Undefined, bool, std::int64_t, double, Str, ListPtr, DictPtr, ObjectPtr> data_;
  Origin origin_ = Origin::kTemplate;
};

/// A list, or one of the sequences that differ from it only in a few respects.
struct List {
  enum class Type { kList, kTuple, kRange, kView, kGenerator };
  std::vector<Value> items;
  Type type = Type::kList;
  const char* type_name = "list";  ///< Python's name, for messages and printing
  std::string range_repr;          ///< of a range
  mutable bool consumed = false;   ///< of a generator: it yields its items only once
  int depth = 1;
  Origin origin = Origin::kTemplate;
  Lease lease;

  List(std::vector<Value> the_items, Type the_type, const char* the_type_name);
};

/// Keeps the order of insertion. Keys are strings, numbers, booleans, None or tuples of them.
struct Dict {
  std::vector<std::pair<Value, Value>> entries;
  int depth = 1;
  Origin origin = Origin::kTemplate;
  Lease lease;

  /// Later entries with an equal key replace earlier ones (and keep their place). Throws for a key
  /// that cannot be hashed.
  explicit Dict(std::vector<std::pair<Value, Value>>&& the_entries);
  const Value* find(const Value& key) const;
  const Value* find(std::string_view key) const;

 private:
  std::unordered_map<std::string, std::size_t> index_;  ///< by hash key
};

/// Anything with behaviour: functions, macros, namespaces, the loop variable.
class Object {
 public:
  virtual ~Object() = default;
  virtual const char* type_name() const = 0;
  /// Python's repr(). Whatever user data it shows keeps its origin.
  virtual void append_repr(StrBuilder& out) const = 0;
  virtual bool callable() const { return false; }
  virtual Value call(Interpreter& interpreter, Arguments& arguments);
  /// Empty when there is no such attribute.
  virtual std::optional<Value> attribute(Interpreter& interpreter, std::string_view name);

 private:
  Lease lease_{256};  // about what an object takes with what hangs on it
};

/// Arguments of a call.
struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<Str, Value>> named;
};

Value make_list(std::vector<Value> items);
Value make_tuple(std::vector<Value> items);
Value make_sequence(std::vector<Value> items, List::Type type, const char* type_name);
Value make_dict(std::vector<std::pair<Value, Value>> entries);
Value make_string(std::string_view text);  ///< of template origin
Value make_undefined(std::string message);

/// Converts JSON that came from outside; everything in it is user data unless `origin` says
/// otherwise. Throws kLimit beyond the depth limit or for an integer outside 64 bits.
Value from_json(const nlohmann::ordered_json& json, Origin origin);

/// Python's name of the type ("str", "NoneType").
const char* type_name(const Value& value);
bool truthy(const Value& value);
bool equal(const Value& a, const Value& b);
/// Python's a < b; throws for types without an order.
bool less(const Value& a, const Value& b);
/// A string under which equal hashable values, and only they, agree; throws for lists and dicts.
std::string hash_key(const Value& value);

/// Failure of a template at run time, as Python's TypeError and its kin.
template <typename... Args>
[[noreturn]] void fail_value(fmt::format_string<Args...> format, Args&&... args) {
  throw Error(ErrorCode::kCorrupt, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace haq::text::jinja
