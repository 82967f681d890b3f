// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/model/config_fields.h"

#include <cmath>

#include "engine/base/error.h"

namespace haq::model {
namespace {

constexpr std::size_t kMaxShownValue = 80;
constexpr std::size_t kMaxListLength = 65536;

std::string shown(const nlohmann::json* value) {
  if (value == nullptr) return "nothing";
  std::string text = value->dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
  if (text.size() > kMaxShownValue) text = text.substr(0, kMaxShownValue) + "...";
  return text;
}

/// An integral JSON number (64, or 64.0 as some writers have it) inside int64, else nothing.
std::optional<std::int64_t> integral(const nlohmann::json& value) {
  constexpr double kExact = 9007199254740992.0;  // 2^53: beyond it a double is no exact integer
  if (value.is_number_unsigned()) {
    const auto number = value.get<std::uint64_t>();
    if (number > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) return {};
    return static_cast<std::int64_t>(number);
  }
  if (value.is_number_integer()) return value.get<std::int64_t>();
  if (value.is_number_float()) {
    const auto number = value.get<double>();
    if (std::abs(number) <= kExact && number == std::floor(number)) {
      return static_cast<std::int64_t>(number);
    }
  }
  return {};
}

}  // namespace

Fields::Fields(const nlohmann::json& object, std::string file, std::string prefix)
    : object_(object), file_(std::move(file)), prefix_(std::move(prefix)) {
  if (!object.is_object()) {
    fail(
        ErrorCode::kCorrupt, "{}: {}found {}, expected a JSON object", file_,
        prefix_.empty() ? "" : fmt::format("field \"{}\": ", prefix_.substr(0, prefix_.size() - 1)),
        shown(&object));
  }
}

const nlohmann::json* Fields::find(std::string_view key) const {
  const auto found = object_.find(key);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

void Fields::wrong(std::string_view key, std::string_view expected) const {
  fail(ErrorCode::kCorrupt, "{}: field \"{}{}\": found {}, expected {}", file_, prefix_, key,
       shown(find(key)), expected);
}

void Fields::unsupported(std::string_view key, std::string_view expected) const {
  fail(ErrorCode::kUnsupported, "{}: field \"{}{}\": {} is not supported, expected {}", file_,
       prefix_, key, shown(find(key)), expected);
}

void Fields::missing(std::string_view key, std::string_view expected) const {
  fail(ErrorCode::kCorrupt, "{}: field \"{}{}\" is missing, expected {}", file_, prefix_, key,
       expected);
}

std::optional<std::int64_t> Fields::integer_if(std::string_view key, std::int64_t low,
                                               std::int64_t high) const {
  const nlohmann::json* value = find(key);
  if (value == nullptr) return {};
  const auto number = integral(*value);
  if (!number || *number < low || *number > high) {
    wrong(key, fmt::format("an integer in [{}, {}]", low, high));
  }
  return number;
}

std::int64_t Fields::integer(std::string_view key, std::int64_t low, std::int64_t high) const {
  const auto number = integer_if(key, low, high);
  if (!number) missing(key, fmt::format("an integer in [{}, {}]", low, high));
  return *number;
}

int Fields::size(std::string_view key, int high) const {
  return static_cast<int>(integer(key, 1, high));
}

std::optional<double> Fields::real_if(std::string_view key, double low, double high) const {
  const nlohmann::json* value = find(key);
  if (value == nullptr) return {};
  if (!value->is_number()) wrong(key, "a number");
  const auto number = value->get<double>();
  if (!(number >= low && number <= high))
    wrong(key, fmt::format("a number in [{}, {}]", low, high));
  return number;
}

double Fields::real(std::string_view key, double low, double high) const {
  const auto number = real_if(key, low, high);
  if (!number) missing(key, fmt::format("a number in [{}, {}]", low, high));
  return *number;
}

std::optional<bool> Fields::boolean_if(std::string_view key) const {
  const nlohmann::json* value = find(key);
  if (value == nullptr) return {};
  if (!value->is_boolean()) wrong(key, "true or false");
  return value->get<bool>();
}

bool Fields::boolean(std::string_view key, bool fallback) const {
  return boolean_if(key).value_or(fallback);
}

std::optional<std::string> Fields::text_if(std::string_view key) const {
  const nlohmann::json* value = find(key);
  if (value == nullptr) return {};
  if (!value->is_string()) wrong(key, "a string");
  return value->get<std::string>();
}

std::optional<std::vector<double>> Fields::reals_if(std::string_view key, double low,
                                                    double high) const {
  const nlohmann::json* value = find(key);
  if (value == nullptr) return {};
  const std::string expected = fmt::format("a list of numbers in [{}, {}]", low, high);
  if (!value->is_array() || value->size() > kMaxListLength) wrong(key, expected);
  std::vector<double> numbers;
  for (const auto& item : *value) {
    if (!item.is_number()) wrong(key, expected);
    numbers.push_back(item.get<double>());
    if (!(numbers.back() >= low && numbers.back() <= high)) wrong(key, expected);
  }
  return numbers;
}

std::optional<std::vector<std::int64_t>> Fields::integers_if(std::string_view key, std::int64_t low,
                                                             std::int64_t high) const {
  const nlohmann::json* value = find(key);
  if (value == nullptr) return {};
  const std::string expected = fmt::format("a list of integers in [{}, {}]", low, high);
  if (!value->is_array() || value->size() > kMaxListLength) wrong(key, expected);
  std::vector<std::int64_t> numbers;
  for (const auto& item : *value) {
    const auto number = integral(item);
    if (!number || *number < low || *number > high) wrong(key, expected);
    numbers.push_back(*number);
  }
  return numbers;
}

std::optional<std::vector<std::string>> Fields::texts_if(std::string_view key) const {
  const nlohmann::json* value = find(key);
  if (value == nullptr) return {};
  if (!value->is_array() || value->size() > kMaxListLength) wrong(key, "a list of strings");
  std::vector<std::string> texts;
  for (const auto& item : *value) {
    if (!item.is_string()) wrong(key, "a list of strings");
    texts.push_back(item.get<std::string>());
  }
  return texts;
}

std::optional<Fields> Fields::child(std::string_view key) const {
  const nlohmann::json* value = find(key);
  if (value == nullptr) return {};
  return Fields(*value, file_, fmt::format("{}{}.", prefix_, key));
}

std::vector<std::int64_t> Fields::token_ids(std::string_view key) const {
  constexpr std::int64_t kMaxId = std::numeric_limits<std::int32_t>::max();
  const nlohmann::json* value = find(key);
  if (value == nullptr) return {};
  std::vector<std::int64_t> ids;
  if (value->is_array()) {
    ids = *integers_if(key, -kMaxId, kMaxId);
  } else {
    ids = {*integer_if(key, -kMaxId, kMaxId)};
  }
  std::erase_if(ids, [](std::int64_t id) { return id < 0; });
  return ids;
}

}  // namespace haq::model
