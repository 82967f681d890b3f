// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QString>
#include <functional>

class QWidget;

/// What the tour's steps are made of: waiting, typing, and giving up with a reason.
namespace haq::ui::tour {

/// What a step found wrong.
struct Wrong {
  QString why;
};

void require(bool holds, const QString& why);
/// Lets the event loop run.
void spin(int milliseconds);
/// Waits until `done`; gives up with `what`.
void await(const std::function<bool()>& done, int milliseconds, const QString& what);
void pressKey(QWidget* target, int key, const QString& text = {});
void typeText(QWidget* target, const QString& text);

inline constexpr int kSettleMs = 120;
inline constexpr int kShortMs = 10'000;
inline constexpr int kLoadMs = 120'000;
inline constexpr int kAnswerMs = 120'000;

}  // namespace haq::ui::tour
