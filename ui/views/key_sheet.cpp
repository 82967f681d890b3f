// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/views/key_sheet.h"

#include <QGridLayout>
#include <QKeyEvent>
#include <QPainter>
#include <QPushButton>
#include <QScrollArea>
#include <QVBoxLayout>
#include <array>

#include "ui/models/action_model.h"
#include "ui/shared/style.h"
#include "ui/shared/widgets.h"

namespace haq::ui {

namespace {

/// A key as it looks on a keyboard.
class KeyCap : public TextLabel {
 public:
  explicit KeyCap(const QString& keys) : TextLabel(keys, FontRole::kSmall) {
    setContentsMargins(space::kS, 3, space::kS, 4);
    setSizePolicy(QSizePolicy::Maximum, QSizePolicy::Maximum);
  }

 protected:
  void paintEvent(QPaintEvent* event) override {
    QPainter painter(this);
    const Theme& theme = Theme::instance();
    paintPanel(painter, rect(), theme.color(Role::kSunken),
               blend(theme.hairline(), theme.color(Role::kText), 0.08), 4);
    painter.end();
    TextLabel::paintEvent(event);
  }
};

QWidget* block(const KeyGroup& group) {
  auto* widget = new QWidget;
  // The room that is left belongs below the last group, not between the groups.
  widget->setSizePolicy(QSizePolicy::Preferred, QSizePolicy::Maximum);
  auto* grid = new QGridLayout(widget);
  grid->setContentsMargins(0, 0, 0, space::kL);
  grid->setHorizontalSpacing(space::kM);
  grid->setVerticalSpacing(space::kXs);
  grid->setColumnStretch(1, 1);
  grid->addWidget(new TextLabel(group.title, FontRole::kStrong), 0, 0, 1, 2);
  int row = 1;
  for (const auto& [keys, text] : group.keys) {
    grid->addWidget(new KeyCap(keys), row, 0, Qt::AlignLeft | Qt::AlignVCenter);
    auto* label = new TextLabel(text, FontRole::kBody);
    label->setAccessibleName(keys + QStringLiteral(": ") + text);
    grid->addWidget(label, row++, 1, Qt::AlignVCenter);
  }
  return widget;
}

}  // namespace

KeySheet::KeySheet(const QVector<KeyGroup>& groups, QWidget* parent) : QDialog(parent) {
  setWindowTitle(tr("Keys"));
  setObjectName(QStringLiteral("keySheet"));
  auto* column = new QVBoxLayout(this);
  column->setContentsMargins(space::kXl, space::kL, space::kXl, space::kL);
  column->setSpacing(space::kM);
  column->addWidget(new TextLabel(tr("Keys"), FontRole::kHeading));

  auto* content = new QWidget;
  auto* columns = new QHBoxLayout(content);
  columns->setContentsMargins(0, 0, space::kS, 0);
  columns->setSpacing(2 * space::kXl);
  std::array<QVBoxLayout*, 2> sides{new QVBoxLayout, new QVBoxLayout};
  std::array<qsizetype, 2> heights{0, 0};
  for (QVBoxLayout* side : sides) columns->addLayout(side, 1);
  for (const KeyGroup& group : groups) {
    if (group.keys.isEmpty()) continue;
    const std::size_t shorter = heights[1] < heights[0] ? 1 : 0;
    sides.at(shorter)->addWidget(block(group), 0, Qt::AlignTop);
    heights.at(shorter) += group.keys.size() + 2;
  }
  for (QVBoxLayout* side : sides) side->addStretch(1);
  auto* scroll = new QScrollArea;
  scroll->viewport()->setAutoFillBackground(false);
  scroll->setFrameShape(QFrame::NoFrame);
  scroll->setWidgetResizable(true);
  scroll->setWidget(content);
  content->setAutoFillBackground(false);
  column->addWidget(scroll, 1);
  QPushButton* close = pushButton(tr("Close"), false, this);
  close->setDefault(true);
  connect(close, &QPushButton::clicked, this, &QDialog::accept);
  column->addWidget(close, 0, Qt::AlignRight);
  const QSize wanted = content->sizeHint() + QSize(3 * space::kXl, 7 * space::kXl);
  const QSize room = parent->size() - QSize(2 * space::kXl, 2 * space::kXl);
  resize(wanted.boundedTo(room).expandedTo(QSize(480, 320).boundedTo(room)));
  const QRect over(parent->mapToGlobal(QPoint(0, 0)), parent->size());
  move(over.center() - rect().center());
}

void KeySheet::paintEvent(QPaintEvent*) {
  QPainter painter(this);
  const Theme& theme = Theme::instance();
  painter.fillRect(rect(), theme.color(Role::kRaised));
  painter.setPen(theme.hairline(Role::kRaised));
  painter.drawRect(rect().adjusted(0, 0, -1, -1));
}

void KeySheet::keyPressEvent(QKeyEvent* event) {
  if (event->key() == Qt::Key_Question || event->key() == Qt::Key_F1) {
    accept();
    return;
  }
  QDialog::keyPressEvent(event);
}

KeyGroup keyGroup(const QString& title, const QList<QAction*>& actions) {
  KeyGroup group{title, {}};
  for (const QAction* action : actions) {
    const QString keys = ActionModel::shortcutText(*action);
    const QString text = ActionModel::plainText(*action);
    if (!keys.isEmpty() && !text.isEmpty()) group.keys.append({keys, text});
  }
  return group;
}

}  // namespace haq::ui
