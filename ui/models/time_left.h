// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <deque>
#include <optional>

namespace haq::ui {

/// Seconds left of work that reports a share done: the rest at the pace of the last half minute, or
/// of all that was seen while that is shorter. Nothing in the first moments, nor while it stands
/// still. Times are seconds of a clock that stops during a pause.
class TimeLeft {
 public:
  void add(double seconds, double share) {
    if (!m_seen.empty() && share < m_seen.back().share) m_seen.clear();
    if (m_seen.empty() || share > m_seen.back().share) m_seen.push_back({seconds, share});
    while (m_seen.size() > 2 && seconds - m_seen.front().seconds > kWindow) m_seen.pop_front();
  }
  std::optional<double> left(double seconds) const {
    if (m_seen.size() < 2) return std::nullopt;
    const Point& first = m_seen.front();
    const Point& last = m_seen.back();
    if (last.seconds - first.seconds < kFirstMoments) return std::nullopt;
    const double pace = (last.share - first.share) / (last.seconds - first.seconds);
    const double rest = (1 - last.share) / pace - (seconds - last.seconds);
    return rest > 0 ? rest : 0;
  }
  void clear() { m_seen.clear(); }

 private:
  static constexpr double kWindow = 30, kFirstMoments = 1;
  struct Point {
    double seconds = 0, share = 0;
  };
  std::deque<Point> m_seen;
};

}  // namespace haq::ui
