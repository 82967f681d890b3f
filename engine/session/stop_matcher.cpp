// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/session/stop_matcher.h"

#include <algorithm>
#include <utility>

#include "engine/base/error.h"

namespace haq::session {

StopMatcher::StopMatcher(std::vector<std::string> stops) : stops_(std::move(stops)) {
  for (const std::string& stop : stops_) {
    if (stop.empty()) fail(ErrorCode::kInvalidArgument, "a stop string is empty");
  }
}

std::string StopMatcher::push(std::string_view text) {
  if (matched_) return {};
  pending_ += text;
  std::size_t first = std::string::npos;
  for (const std::string& stop : stops_) first = std::min(first, pending_.find(stop));
  if (first != std::string::npos) {
    matched_ = true;
    return std::exchange(pending_, {}).substr(0, first);
  }
  // The longest suffix that is a proper prefix of a stop string has to wait.
  std::size_t held = 0;
  for (const std::string& stop : stops_) {
    for (std::size_t n = std::min(stop.size() - 1, pending_.size()); n > held; --n) {
      if (std::string_view(pending_).ends_with(std::string_view(stop).substr(0, n))) {
        held = n;
        break;
      }
    }
  }
  std::string shown = pending_.substr(0, pending_.size() - held);
  pending_.erase(0, pending_.size() - held);
  return shown;
}

std::string StopMatcher::flush() {
  if (matched_) return {};
  return std::exchange(pending_, {});
}

}  // namespace haq::session
