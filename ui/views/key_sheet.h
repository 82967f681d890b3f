// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QDialog>
#include <QPair>
#include <QVector>

class QAction;

namespace haq::ui {

/// One titled block of the key sheet.
struct KeyGroup {
  QString title;
  QVector<QPair<QString, QString>> keys;  ///< shortcut, what it does
};

/// All shortcuts on one sheet, in columns; Esc or ? closes it.
class KeySheet : public QDialog {
  Q_OBJECT
 public:
  KeySheet(const QVector<KeyGroup>& groups, QWidget* parent);

 protected:
  void keyPressEvent(QKeyEvent* event) override;
  void paintEvent(QPaintEvent* event) override;
};

/// The block of a list of actions; those without a shortcut are left out.
KeyGroup keyGroup(const QString& title, const QList<QAction*>& actions);

}  // namespace haq::ui
