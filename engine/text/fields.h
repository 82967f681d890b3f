// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <initializer_list>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace haq::text {

/// One JSON object of a tokenizer.json together with its place in the file, so that every message
/// can name both. The JSON must outlive it. Wrong types throw kCorrupt, unknown members
/// kUnsupported.
class Fields {
 public:
  Fields(const nlohmann::json& object, std::string place);

  const std::string& place() const { return place_; }
  /// Refuses every member that is not listed: an unknown one might change the ids.
  void allow(std::initializer_list<std::string_view> known) const;
  /// Absent and null are the same everywhere in these files.
  bool has(std::string_view key) const;

  std::string type() const;
  std::string text(std::string_view key) const;
  std::optional<std::string> optional_text(std::string_view key) const;
  /// A string of exactly one character.
  char32_t character(std::string_view key) const;
  bool flag(std::string_view key, bool fallback) const;
  std::optional<bool> optional_flag(std::string_view key) const;
  std::int64_t number(std::string_view key, std::int64_t low, std::int64_t high) const;
  std::int64_t number(std::string_view key, std::int64_t low, std::int64_t high,
                      std::int64_t fallback) const;
  const nlohmann::json& value(std::string_view key) const;
  Fields child(std::string_view key) const;
  std::vector<Fields> children(std::string_view key) const;

  /// Throws kUnsupported for a type name that nothing here implements.
  [[noreturn]] void refuse_type(std::string_view kind) const;
  [[noreturn]] void wrong(std::string_view key, std::string_view expected) const;

 private:
  const nlohmann::json* find(std::string_view key) const;
  const nlohmann::json* object_;
  std::string place_;
};

}  // namespace haq::text
