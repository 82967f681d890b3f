// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/shared/table_text.h"

#include <QClipboard>
#include <QGuiApplication>
#include <QStringList>

namespace haq::ui {

QString tableText(const QAbstractItemModel& model) {
  const auto plain = [](QString text) {
    return text.replace(QLatin1Char('\t'), QLatin1Char(' ')).replace(QLatin1Char('\n'), u' ');
  };
  bool hasRowTitles = false;
  for (int row = 0; row < model.rowCount() && !hasRowTitles; ++row) {
    hasRowTitles = model.headerData(row, Qt::Vertical).isValid() &&
                   model.headerData(row, Qt::Vertical).toInt() != row + 1;
  }
  QStringList lines;
  QStringList head;
  if (hasRowTitles) head << QString();
  for (int column = 0; column < model.columnCount(); ++column) {
    head << plain(model.headerData(column, Qt::Horizontal).toString());
  }
  lines << head.join(QLatin1Char('\t'));
  for (int row = 0; row < model.rowCount(); ++row) {
    QStringList cells;
    if (hasRowTitles) cells << plain(model.headerData(row, Qt::Vertical).toString());
    for (int column = 0; column < model.columnCount(); ++column) {
      cells << plain(model.index(row, column).data().toString());
    }
    lines << cells.join(QLatin1Char('\t'));
  }
  return lines.join(QLatin1Char('\n')) + QLatin1Char('\n');
}

void copyTable(const QAbstractItemModel& model) {
  QGuiApplication::clipboard()->setText(tableText(model));
}

}  // namespace haq::ui
