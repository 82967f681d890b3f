// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace haq::model {

/// Typed, range-checked reading of one untrusted JSON object. A key whose value is null counts as
/// absent, as everywhere in Hugging Face files. Every error names file, field, found and expected.
class Fields {
 public:
  /// `prefix` is put before field names in messages ("rope_scaling."). Throws kCorrupt when
  /// `object` is not a JSON object. Keeps a reference to `object`.
  Fields(const nlohmann::json& object, std::string file, std::string prefix = {});

  bool has(std::string_view key) const { return find(key) != nullptr; }
  /// True when the key is there at all, be its value null.
  bool mentions(std::string_view key) const { return object_.contains(key); }
  const nlohmann::json* find(std::string_view key) const;
  const nlohmann::json& object() const { return object_; }
  const std::string& file() const { return file_; }

  std::optional<std::int64_t> integer_if(std::string_view key, std::int64_t low,
                                         std::int64_t high) const;
  std::int64_t integer(std::string_view key, std::int64_t low, std::int64_t high) const;
  int size(std::string_view key, int high) const;  ///< an integer in [1, high]
  std::optional<double> real_if(std::string_view key, double low, double high) const;
  double real(std::string_view key, double low, double high) const;
  std::optional<bool> boolean_if(std::string_view key) const;
  bool boolean(std::string_view key, bool fallback) const;
  std::optional<std::string> text_if(std::string_view key) const;
  std::optional<std::vector<double>> reals_if(std::string_view key, double low, double high) const;
  std::optional<std::vector<std::int64_t>> integers_if(std::string_view key, std::int64_t low,
                                                       std::int64_t high) const;
  std::optional<std::vector<std::string>> texts_if(std::string_view key) const;
  /// The object below a key, or nothing.
  std::optional<Fields> child(std::string_view key) const;
  /// A token id or a list of them (eos_token_id); negative ids mean "none" and are left out.
  std::vector<std::int64_t> token_ids(std::string_view key) const;

  [[noreturn]] void wrong(std::string_view key, std::string_view expected) const;
  [[noreturn]] void unsupported(std::string_view key, std::string_view expected) const;
  [[noreturn]] void missing(std::string_view key, std::string_view expected) const;

 private:
  const nlohmann::json& object_;
  std::string file_;
  std::string prefix_;
};

}  // namespace haq::model
