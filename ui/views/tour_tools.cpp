// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/views/tour_tools.h"

#include <QCoreApplication>
#include <QElapsedTimer>
#include <QEventLoop>
#include <QKeyEvent>
#include <QTimer>
#include <QWidget>

namespace haq::ui::tour {

void require(bool holds, const QString& why) {
  if (!holds) throw Wrong{why};
}

void spin(int milliseconds) {
  QEventLoop loop;
  QTimer::singleShot(milliseconds, &loop, &QEventLoop::quit);
  loop.exec();
}

void await(const std::function<bool()>& done, int milliseconds, const QString& what) {
  QElapsedTimer clock;
  clock.start();
  while (!done()) {
    require(clock.elapsed() < milliseconds, what);
    spin(5);
  }
}

void pressKey(QWidget* target, int key, const QString& text) {
  QKeyEvent down(QEvent::KeyPress, key, Qt::NoModifier, text);
  QCoreApplication::sendEvent(target, &down);
  QKeyEvent up(QEvent::KeyRelease, key, Qt::NoModifier, text);
  QCoreApplication::sendEvent(target, &up);
}

void typeText(QWidget* target, const QString& text) {
  for (const QChar letter : text) pressKey(target, letter.toUpper().unicode(), letter);
}

}  // namespace haq::ui::tour
