// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <memory>
#include <string>
#include <unordered_set>
#include <vector>

namespace haq::model {

/// The "ignore" list of a compressed-tensors config: exact module names, and "re:" patterns that
/// match from the start of a name (as Python's re.match does). Immutable, shareable.
class IgnoreList {
 public:
  /// Throws kCorrupt naming `what` for a pattern that is no regular expression.
  IgnoreList(const std::vector<std::string>& entries, const std::string& what);
  ~IgnoreList();
  IgnoreList(const IgnoreList&) = delete;
  IgnoreList& operator=(const IgnoreList&) = delete;

  /// Throws kLimit when a pattern needs an unreasonable amount of backtracking.
  bool matches(const std::string& module) const;

 private:
  struct Pattern;
  std::unordered_set<std::string> names_;
  std::vector<std::unique_ptr<Pattern>> patterns_;
  std::string what_;
};

}  // namespace haq::model
