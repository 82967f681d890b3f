// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/text/fields.h"
#include "engine/text/regex.h"

namespace haq::text {

/// A stretch of a text that a pattern matched, or that lies between matches.
struct Stretch {
  std::size_t begin = 0;
  std::size_t end = 0;
  bool is_match = false;
};

/// {"String": ...} or {"Regex": ...}. Immutable, thread-safe.
class Pattern {
 public:
  /// Reads the member "pattern" of `owner`.
  static Pattern parse(const Fields& owner);
  static Pattern regex(std::string_view expression);

  /// Set when the pattern is a plain string.
  const std::optional<std::string>& literal() const { return literal_; }

  /// Cuts texts into stretches; owns the working memory of a regular expression.
  class Finder {
   public:
    explicit Finder(const Pattern& pattern);
    /// Covers `text` (valid UTF-8) from left to right; empty matches are listed too.
    void find(std::string_view text, std::vector<Stretch>& out);

   private:
    const Pattern* pattern_;
    std::optional<RegexScanner> scanner_;
  };

  /// Appends `text` with every match replaced by `content`. When `lead` is given it counts the
  /// leading bytes that stem from the first character of the input, and is updated.
  void replace(std::string_view text, std::string_view content, std::string& out,
               std::size_t* lead = nullptr) const;

 private:
  std::optional<std::string> literal_;
  std::optional<Regex> regex_;
};

}  // namespace haq::text
