// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/shared/chart_frame.h"

#include <QHBoxLayout>
#include <QHeaderView>
#include <QStackedWidget>
#include <QVBoxLayout>

#include "ui/shared/data_table.h"
#include "ui/shared/table_text.h"

namespace haq::ui {

ChartFrame::ChartFrame(const QString& title, QWidget* chart, QAbstractItemModel* table,
                       QWidget* parent)
    : Card(parent),
      m_head(new QHBoxLayout),
      m_note(new ElidedLabel(FontRole::kSmall, Role::kMuted)),
      m_stack(new QStackedWidget),
      m_table(new DataTable(title)) {
  auto* column = new QVBoxLayout(this);
  column->setContentsMargins(space::kM, space::kS, space::kS, space::kS);
  column->setSpacing(space::kXs);
  m_head->setSpacing(space::kS);
  m_head->addWidget(new TextLabel(title, FontRole::kStrong));
  m_head->addWidget(m_note, 1);
  m_tableButton = iconButton(Icon::kQueue, tr("%1: show as table").arg(title));
  m_tableButton->setCheckable(true);
  connect(m_tableButton, &QToolButton::toggled, this, &ChartFrame::setTableShown);
  m_head->addWidget(m_tableButton);
  QToolButton* copy = iconButton(Icon::kCopy, tr("%1: copy the figures").arg(title));
  connect(copy, &QToolButton::clicked, this, [table] { copyTable(*table); });
  m_head->addWidget(copy);
  column->addLayout(m_head);
  chart->setAccessibleName(title);
  m_table->setModel(table);
  m_table->setStretchedColumn(-1);
  m_table->setShownRows(2);
  m_table->verticalHeader()->setVisible(true);
  m_stack->addWidget(chart);
  m_stack->addWidget(m_table);
  column->addWidget(m_stack, 1);
}

void ChartFrame::setNote(const QString& text) {
  m_note->setFullText(text);
}

void ChartFrame::setTableShown(bool shown) {
  m_tableButton->setChecked(shown);
  m_stack->setCurrentIndex(shown ? 1 : 0);
}

bool ChartFrame::tableShown() const {
  return m_stack->currentIndex() == 1;
}

void ChartFrame::addHeadWidget(QWidget* widget) {
  m_head->insertWidget(2, widget);
}

}  // namespace haq::ui
