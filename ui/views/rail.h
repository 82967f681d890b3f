// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QAbstractButton>
#include <QWidget>

#include "ui/shared/icons.h"

class QAction;
class QVBoxLayout;

namespace haq::ui {

/// One entry of the rail: an icon over a word, with a bar at the left edge when it is the page
/// shown.
class RailButton : public QAbstractButton {
  Q_OBJECT
 public:
  RailButton(Icon icon, QAction* action, QWidget* parent = nullptr);
  QSize sizeHint() const override;

 protected:
  void paintEvent(QPaintEvent* event) override;

 private:
  Icon m_icon;
};

/// The left rail with the pages of the program.
class Rail : public QWidget {
  Q_OBJECT
 public:
  explicit Rail(QWidget* parent = nullptr);
  /// `atBottom` entries gather at the foot.
  void add(Icon icon, QAction* action, bool atBottom = false);
  /// A small button at the very bottom that triggers an action.
  void addTool(Icon icon, QAction* action);

 protected:
  void paintEvent(QPaintEvent* event) override;

 private:
  QVBoxLayout* m_top;
  QVBoxLayout* m_bottom;
};

}  // namespace haq::ui
