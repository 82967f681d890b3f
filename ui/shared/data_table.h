// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QTableView>

namespace haq::ui {

/// A quiet table of figures: whole rows, hairlines, no grid, rows as high as the text needs. Ctrl+C
/// and the context menu copy it as text for a spreadsheet.
class DataTable : public QTableView {
  Q_OBJECT
 public:
  explicit DataTable(const QString& name, QWidget* parent = nullptr);

  /// Columns fit their texts; `stretched` takes what is left.
  void setModel(QAbstractItemModel* model) override;
  void setStretchedColumn(int column);
  /// Rows that stay visible however small the window is.
  void setShownRows(int least);
  QSize sizeHint() const override;

 protected:
  void keyPressEvent(QKeyEvent* event) override;
  void contextMenuEvent(QContextMenuEvent* event) override;

 private:
  void restyle();
  int m_stretched = 0;
  int m_leastRows = 3;
};

}  // namespace haq::ui
