// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QElapsedTimer>
#include <QTimer>
#include <algorithm>

namespace haq::ui {

/// Records how long the event loop of the GUI thread was kept from turning: a timer that should
/// fire every few milliseconds, and the longest time it was late.
class LoopWatchdog {
 public:
  static constexpr int kTickMs = 2;

  LoopWatchdog() {
    m_timer.setTimerType(Qt::PreciseTimer);
    m_timer.setInterval(kTickMs);
    QObject::connect(&m_timer, &QTimer::timeout, &m_timer, [this] {
      const double now = static_cast<double>(m_clock.nsecsElapsed()) / 1e6;
      m_longest = std::max(m_longest, now - m_last - kTickMs);
      m_last = now;
    });
    m_clock.start();
    m_timer.start();
  }

  /// Longest stall since the last call, in milliseconds; measuring begins anew.
  double takeLongest() {
    const double longest = std::max(0.0, m_longest);
    m_longest = 0;
    m_last = static_cast<double>(m_clock.nsecsElapsed()) / 1e6;
    return longest;
  }

 private:
  QTimer m_timer;
  QElapsedTimer m_clock;
  double m_last = 0;
  double m_longest = 0;
};

}  // namespace haq::ui
