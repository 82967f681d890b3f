// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/shared/data_table.h"

#include <QContextMenuEvent>
#include <QHeaderView>
#include <QKeyEvent>
#include <QMenu>

#include "ui/shared/icons.h"
#include "ui/shared/row_delegate.h"
#include "ui/shared/style.h"
#include "ui/shared/table_text.h"
#include "ui/shared/theme.h"

namespace haq::ui {

DataTable::DataTable(const QString& name, QWidget* parent) : QTableView(parent) {
  setAccessibleName(name);
  setSelectionBehavior(QAbstractItemView::SelectRows);
  setSelectionMode(QAbstractItemView::ExtendedSelection);
  setEditTriggers(QAbstractItemView::NoEditTriggers);
  setShowGrid(false);
  setTabKeyNavigation(false);
  setWordWrap(false);
  setHorizontalScrollMode(QAbstractItemView::ScrollPerPixel);
  verticalHeader()->hide();
  verticalHeader()->setSectionResizeMode(QHeaderView::Fixed);
  horizontalHeader()->setHighlightSections(false);
  horizontalHeader()->setMinimumSectionSize(40);
  setItemDelegate(new RowDelegate(this));
  connect(&Theme::instance(), &Theme::changed, this, &DataTable::restyle);
  restyle();
}

void DataTable::setModel(QAbstractItemModel* model) {
  QTableView::setModel(model);
  setStretchedColumn(m_stretched);
}

void DataTable::setStretchedColumn(int column) {
  m_stretched = column;
  horizontalHeader()->setSectionResizeMode(QHeaderView::ResizeToContents);
  if (column >= 0 && model() != nullptr && column < model()->columnCount()) {
    horizontalHeader()->setSectionResizeMode(column, QHeaderView::Stretch);
  }
}

void DataTable::setShownRows(int least) {
  m_leastRows = least;
  restyle();
}

QSize DataTable::sizeHint() const {
  return {256, minimumHeight()};
}

void DataTable::restyle() {
  const int row = QFontMetrics(Theme::instance().font(FontRole::kBody)).height() + space::kM;
  verticalHeader()->setDefaultSectionSize(row);
  setMinimumHeight((m_leastRows + 1) * row);
}

void DataTable::keyPressEvent(QKeyEvent* event) {
  if (event->matches(QKeySequence::Copy) && model() != nullptr) {
    copyTable(*model());
    return;
  }
  QTableView::keyPressEvent(event);
}

void DataTable::contextMenuEvent(QContextMenuEvent* event) {
  if (model() == nullptr) return;
  QMenu menu(this);
  menu.addAction(icon(Icon::kCopy, Role::kMuted), tr("Copy the table"), this,
                 [this] { copyTable(*model()); });
  menu.exec(event->globalPos());
}

}  // namespace haq::ui
