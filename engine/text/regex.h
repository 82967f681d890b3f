// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace haq::text {

/// A compiled regular expression of a tokenizer.json. Immutable, thread-safe.
class Regex {
 public:
  /// Compiles an Oniguruma pattern (see regex_syntax.h). Throws kUnsupported with `what` when it
  /// uses something PCRE2 cannot do, is malformed or too large.
  static Regex compile(std::string_view pattern, std::string_view what);

  struct Code;
  const Code& code() const { return *code_; }

 private:
  std::shared_ptr<const Code> code_;
};

/// Finds the matches of one expression in texts, one after another; owns the working memory, so one
/// per thread. All searches together may take as long as their text warrants, then kLimit is
/// thrown: patterns come from untrusted files and can be made to backtrack for ever.
class RegexScanner {
 public:
  explicit RegexScanner(const Regex& regex);
  ~RegexScanner();
  RegexScanner(const RegexScanner&) = delete;
  RegexScanner& operator=(const RegexScanner&) = delete;

  /// Begins with a new text, which must be valid UTF-8 and outlive the search.
  void start(std::string_view subject);
  /// The next match, left to right. An empty match directly behind the previous one is skipped.
  bool next(std::size_t& begin, std::size_t& end);

 private:
  bool search(std::size_t from, std::size_t& begin, std::size_t& end);
  void check_deadline() const;
  int match_window(std::size_t from, std::size_t limit);

  struct Memory;
  const Regex* regex_;
  std::unique_ptr<Memory> memory_;
  std::string_view subject_;
  std::size_t position_ = 0;
  std::size_t last_end_ = 0;
  bool any_match_ = false;
  std::uint32_t matches_ = 0;
  std::chrono::steady_clock::time_point deadline_;
};

}  // namespace haq::text
