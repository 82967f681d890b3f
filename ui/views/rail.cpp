// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/views/rail.h"

#include <QAction>
#include <QPainter>
#include <QToolButton>
#include <QVBoxLayout>

#include "ui/models/action_model.h"
#include "ui/shared/style.h"
#include "ui/shared/widgets.h"

namespace haq::ui {

namespace {
constexpr int kIcon = 20;
constexpr int kBar = 3;
constexpr int kMinWidth = 68;

int iconSide() {
  return Theme::instance().scaled(kIcon);
}
}  // namespace

RailButton::RailButton(Icon icon, QAction* action, QWidget* parent)
    : QAbstractButton(parent), m_icon(icon) {
  setCheckable(true);
  setAutoExclusive(false);
  setFocusPolicy(Qt::TabFocus);
  setAttribute(Qt::WA_Hover);
  setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Fixed);
  const QString name = ActionModel::plainText(*action);
  setText(name);
  setAccessibleName(name);
  setToolTip(name + QStringLiteral("  (") + ActionModel::shortcutText(*action) + QLatin1Char(')'));
  setChecked(action->isChecked());
  connect(&Theme::instance(), &Theme::changed, this, &QWidget::updateGeometry);
  connect(action, &QAction::toggled, this, &QAbstractButton::setChecked);
  connect(this, &QAbstractButton::clicked, action, [this, action] {
    action->trigger();
    setChecked(action->isChecked());
  });
}

QSize RailButton::sizeHint() const {
  const QFontMetrics metrics(Theme::instance().font(FontRole::kSmall));
  return {std::max(metrics.horizontalAdvance(text()) + 2 * space::kM, kMinWidth),
          iconSide() + metrics.height() + 2 * space::kS + space::kXs};
}

void RailButton::paintEvent(QPaintEvent*) {
  const Theme& theme = Theme::instance();
  QPainter painter(this);
  const QRect card = rect().adjusted(space::kXs, 2, -space::kXs, -2);
  if (isChecked()) {
    paintPanel(painter, card, theme.tint(Role::kAccent, Role::kSunken, 0.14), {}, kRadius);
  } else if (underMouse() || isDown()) {
    paintPanel(painter, card, blend(theme.color(Role::kSunken), theme.color(Role::kText), 0.06), {},
               kRadius);
  }
  if (isChecked()) {
    paintPanel(painter, QRectF(0, card.top() + space::kS, kBar, card.height() - 2 * space::kS),
               theme.color(Role::kAccent), {}, kBar / 2.0);
  }
  if (hasFocus()) paintFocusRing(painter, card, kRadius);
  const QColor color = theme.color(isChecked() ? Role::kText : Role::kMuted);
  const QFont font = theme.font(FontRole::kSmall);
  const int textHeight = QFontMetrics(font).height();
  const int side = iconSide();
  const int top = card.top() + (card.height() - side - textHeight - 2) / 2;
  paintIcon(painter, m_icon, QRectF(rect().center().x() - side / 2.0 + 0.5, top, side, side),
            color);
  // Where the window gives the rail less than it asks for, the word shrinks rather than being cut.
  QFont label = font;
  while (QFontMetrics(label).horizontalAdvance(text()) > width() - 2 && label.pointSizeF() > 6) {
    label.setPointSizeF(label.pointSizeF() - 0.5);
  }
  painter.setFont(label);
  painter.setPen(color);
  painter.drawText(QRect(0, top + side + 2, width(), textHeight), Qt::AlignCenter, text());
}

Rail::Rail(QWidget* parent) : QWidget(parent), m_top(new QVBoxLayout), m_bottom(new QVBoxLayout) {
  setAccessibleName(tr("Pages"));
  auto* column = new QVBoxLayout(this);
  column->setContentsMargins(space::kXs, space::kS, space::kXs, space::kS);
  column->setSpacing(space::kXs);
  m_top->setSpacing(space::kXs);
  m_bottom->setSpacing(space::kXs);
  column->addLayout(m_top);
  column->addStretch(1);
  column->addLayout(m_bottom);
}

void Rail::add(Icon icon, QAction* action, bool atBottom) {
  (atBottom ? m_bottom : m_top)->addWidget(new RailButton(icon, action, this));
}

void Rail::addTool(Icon icon, QAction* action) {
  QToolButton* button = iconButton(icon, ActionModel::plainText(*action), this);
  button->setToolTip(ActionModel::plainText(*action) + QStringLiteral("  (") +
                     ActionModel::shortcutText(*action) + QLatin1Char(')'));
  connect(button, &QToolButton::clicked, action, &QAction::trigger);
  m_bottom->addWidget(button, 0, Qt::AlignHCenter);
}

void Rail::paintEvent(QPaintEvent*) {
  const Theme& theme = Theme::instance();
  QPainter painter(this);
  painter.fillRect(rect(), theme.color(Role::kSunken));
  painter.fillRect(QRect(width() - kHairline, 0, kHairline, height()), theme.hairline());
}

}  // namespace haq::ui
