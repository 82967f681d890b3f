// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace haq::session {

/// Finds the first of several stop strings in text that arrives in pieces. Text that may be the
/// start of a stop string is held back until it is decided, so that nothing of one is ever shown.
class StopMatcher {
 public:
  /// Empty stop strings throw kInvalidArgument: they would end every answer before it starts.
  explicit StopMatcher(std::vector<std::string> stops);

  /// Appends `text`; returns what may be shown now. After a match nothing more is returned.
  std::string push(std::string_view text);
  /// What is still held back, when the text ends without a stop string.
  std::string flush();
  bool matched() const { return matched_; }

 private:
  std::vector<std::string> stops_;
  std::string pending_;
  bool matched_ = false;
};

}  // namespace haq::session
