// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/text/fields.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "engine/base/error.h"
#include "engine/text/unicode.h"

namespace haq::text {

using nlohmann::json;

Fields::Fields(const json& object, std::string place) : object_(&object), place_(std::move(place)) {
  if (!object.is_object()) {
    fail(ErrorCode::kCorrupt, "{}: expected an object, found {}", place_, object.type_name());
  }
}

const json* Fields::find(std::string_view key) const {
  const auto found = object_->find(key);
  return found == object_->end() || found->is_null() ? nullptr : &*found;
}

void Fields::allow(std::initializer_list<std::string_view> known) const {
  for (const auto& [key, value] : object_->items()) {
    if (!value.is_null() && std::find(known.begin(), known.end(), key) == known.end()) {
      fail(ErrorCode::kUnsupported, "{}: the field \"{}\" is not known", place_,
           key.substr(0, 100));
    }
  }
}

bool Fields::has(std::string_view key) const {
  return find(key) != nullptr;
}

void Fields::wrong(std::string_view key, std::string_view expected) const {
  const json* found = find(key);
  fail(ErrorCode::kCorrupt, "{}: \"{}\" must be {}, found {}", place_, key, expected,
       found == nullptr
           ? "nothing"
           : found->dump(-1, ' ', false, json::error_handler_t::replace).substr(0, 100));
}

const json& Fields::value(std::string_view key) const {
  const json* found = find(key);
  if (found == nullptr) wrong(key, "present");
  return *found;
}

std::string Fields::text(std::string_view key) const {
  const json* found = find(key);
  if (found == nullptr || !found->is_string()) wrong(key, "a string");
  return found->get<std::string>();
}

std::string Fields::type() const {
  return text("type");
}

std::optional<std::string> Fields::optional_text(std::string_view key) const {
  if (!has(key)) return std::nullopt;
  return text(key);
}

char32_t Fields::character(std::string_view key) const {
  const std::string found = text(key);
  std::size_t pos = 0;
  const char32_t c = found.empty() ? 0 : next_char(found, pos);
  if (found.empty() || pos != found.size()) wrong(key, "one character");
  return c;
}

std::optional<bool> Fields::optional_flag(std::string_view key) const {
  const json* found = find(key);
  if (found == nullptr) return std::nullopt;
  if (!found->is_boolean()) wrong(key, "true or false");
  return found->get<bool>();
}

bool Fields::flag(std::string_view key, bool fallback) const {
  return optional_flag(key).value_or(fallback);
}

std::int64_t Fields::number(std::string_view key, std::int64_t low, std::int64_t high) const {
  const json* found = find(key);
  const std::string range = fmt::format("an integer from {} to {}", low, high);
  if (found == nullptr || !found->is_number_integer()) wrong(key, range);
  if (found->is_number_unsigned() &&
      found->get<std::uint64_t>() > static_cast<std::uint64_t>(high)) {
    wrong(key, range);
  }
  const auto number = found->get<std::int64_t>();
  if (number < low || number > high) wrong(key, range);
  return number;
}

std::int64_t Fields::number(std::string_view key, std::int64_t low, std::int64_t high,
                            std::int64_t fallback) const {
  return has(key) ? number(key, low, high) : fallback;
}

Fields Fields::child(std::string_view key) const {
  return Fields(value(key), fmt::format("{}.{}", place_, key));
}

std::vector<Fields> Fields::children(std::string_view key) const {
  const json* found = find(key);
  if (found == nullptr || !found->is_array()) wrong(key, "a list");
  std::vector<Fields> out;
  out.reserve(found->size());
  for (std::size_t i = 0; i < found->size(); ++i) {
    out.emplace_back((*found)[i], fmt::format("{}.{}[{}]", place_, key, i));
  }
  return out;
}

void Fields::refuse_type(std::string_view kind) const {
  fail(ErrorCode::kUnsupported, "{}: the {} \"{}\" is not supported", place_, kind,
       type().substr(0, 100));
}

}  // namespace haq::text
