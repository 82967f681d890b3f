// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QDialog>

#include "ui/models/action_model.h"

class QLineEdit;
class QListView;

namespace haq::ui {

/// A field over a list of everything the program can do: type a few letters, Enter does it.
class CommandPalette : public QDialog {
  Q_OBJECT
 public:
  explicit CommandPalette(QWidget* parent);
  ActionModel& actions() { return m_actions; }
  QLineEdit& field() { return *m_field; }
  QListView& list() { return *m_list; }
  /// Shows the palette over the upper part of its parent, with an empty field.
  void popUp();

 protected:
  bool eventFilter(QObject* watched, QEvent* event) override;
  void paintEvent(QPaintEvent* event) override;

 private:
  void filter(const QString& text);
  void move(int rows);
  void run();

  ActionModel m_actions;
  QLineEdit* m_field;
  QListView* m_list;
  QWidget* m_nothing;
};

}  // namespace haq::ui
