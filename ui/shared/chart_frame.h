// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "ui/shared/widgets.h"

class QAbstractItemModel;
class QStackedWidget;

namespace haq::ui {

class DataTable;

/// A titled card around a chart, with the same figures as a table one key away and a button that
/// copies them.
class ChartFrame : public Card {
  Q_OBJECT
 public:
  /// `table` is what "show as table" shows and "copy" copies; it outlives the frame.
  ChartFrame(const QString& title, QWidget* chart, QAbstractItemModel* table,
             QWidget* parent = nullptr);

  void setNote(const QString& text);  ///< muted, beside the title
  void setTableShown(bool shown);
  bool tableShown() const;
  QToolButton& tableButton() { return *m_tableButton; }
  DataTable& table() { return *m_table; }
  /// Before the buttons of the head.
  void addHeadWidget(QWidget* widget);

 private:
  QHBoxLayout* m_head;
  ElidedLabel* m_note;
  QStackedWidget* m_stack;
  DataTable* m_table;
  QToolButton* m_tableButton;
};

}  // namespace haq::ui
