// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/wizard/step_list.h"

#include <QKeyEvent>
#include <QPainter>
#include <QVBoxLayout>

#include "ui/shared/icons.h"
#include "ui/shared/style.h"

namespace haq::ui {

namespace {

constexpr int kDisc = 22;
constexpr int kWidth = 196, kMostWidth = 300;

}  // namespace

StepButton::StepButton(int number, const QString& title, QWidget* parent)
    : QAbstractButton(parent), m_number(number) {
  setText(title);
  setAccessibleName(title);
  setCheckable(true);
  setFocusPolicy(Qt::TabFocus);
  setAttribute(Qt::WA_Hover);
  setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Fixed);
  connect(&Theme::instance(), &Theme::changed, this, &QWidget::updateGeometry);
}

void StepButton::setState(State state, const QString& summary) {
  m_state = state;
  m_summary = summary;
  setToolTip(summary);
  const QString word = state == State::kDone   ? tr("done")
                       : state == State::kBusy ? tr("running")
                                               : QString();
  setAccessibleDescription(word.isEmpty() ? summary : word + QStringLiteral(", ") + summary);
  update();
}

QSize StepButton::sizeHint() const {
  const Theme& theme = Theme::instance();
  const int lines = QFontMetrics(theme.font(FontRole::kBody)).height() +
                    QFontMetrics(theme.font(FontRole::kSmall)).height();
  return {std::min(theme.scaled(kWidth), kMostWidth), lines + 2 * space::kS};
}

void StepButton::paintEvent(QPaintEvent*) {
  const Theme& theme = Theme::instance();
  QPainter painter(this);
  painter.setRenderHint(QPainter::Antialiasing);
  const QRect card = rect().adjusted(0, 1, 0, -1);
  if (isChecked()) {
    paintPanel(painter, card, theme.tint(Role::kAccent, Role::kWindow, 0.14), {}, kRadius);
  } else if (isEnabled() && (underMouse() || isDown())) {
    paintPanel(painter, card, blend(theme.color(Role::kWindow), theme.color(Role::kText), 0.06), {},
               kRadius);
  }
  const int side = theme.scaled(kDisc);
  const QRectF disc(space::kS, (height() - side) / 2.0, side, side);
  const bool done = m_state == State::kDone;
  const QColor text = theme.color(isEnabled() ? Role::kText : Role::kDisabled);
  if (m_number > 0) {
    const QColor accent = theme.color(isEnabled() ? Role::kAccent : Role::kDisabled);
    const bool filled = isChecked();
    paintPanel(painter, disc, filled ? accent : QColor(), filled ? QColor() : accent, side / 2.0);
    const QColor ink = filled ? theme.color(Role::kAccentText) : accent;
    if (done) {
      paintIcon(painter, Icon::kCheck, disc.adjusted(4, 4, -4, -4), ink);
    } else if (m_state == State::kBusy) {
      paintIcon(painter, Icon::kMore, disc.adjusted(4, 4, -4, -4), ink);
    } else {
      painter.setFont(theme.font(FontRole::kSmall));
      painter.setPen(ink);
      painter.drawText(disc, Qt::AlignCenter, QString::number(m_number));
    }
  } else {
    paintIcon(painter, Icon::kQueue, disc.adjusted(3, 3, -3, -3), theme.color(Role::kMuted));
  }
  const double left = disc.right() + space::kS;
  const QRectF area(left, space::kS, width() - left - space::kS, height() - 2 * space::kS);
  painter.setFont(theme.font(isChecked() ? FontRole::kStrong : FontRole::kBody));
  painter.setPen(text);
  painter.drawText(area, (m_summary.isEmpty() ? Qt::AlignVCenter : Qt::AlignTop) | Qt::AlignLeft,
                   painter.fontMetrics().elidedText(this->text(), Qt::ElideRight,
                                                    static_cast<int>(area.width())));
  painter.setFont(theme.font(FontRole::kSmall));
  painter.setPen(theme.color(isEnabled() ? Role::kMuted : Role::kDisabled));
  painter.drawText(
      area, Qt::AlignBottom | Qt::AlignLeft,
      painter.fontMetrics().elidedText(m_summary, Qt::ElideRight, static_cast<int>(area.width())));
  if (hasFocus()) paintFocusRing(painter, card, kRadius);
}

StepList::StepList(const QStringList& titles, const QString& runsTitle, QWidget* parent)
    : QWidget(parent) {
  setAccessibleName(tr("Steps"));
  auto* column = new QVBoxLayout(this);
  column->setContentsMargins(space::kS, space::kM, space::kS, space::kS);
  column->setSpacing(0);
  for (int index = 0; index < titles.size(); ++index) {
    auto* step = new StepButton(index + 1, titles[index]);
    connect(step, &QAbstractButton::clicked, this, [this, index] { Q_EMIT chosen(index); });
    m_steps.append(step);
    column->addWidget(step);
  }
  column->addStretch(1);
  m_runs = new StepButton(0, runsTitle);
  connect(m_runs, &QAbstractButton::clicked, this, &StepList::runsChosen);
  column->addWidget(m_runs);
}

void StepList::setCurrent(int index) {
  for (int step = 0; step < m_steps.size(); ++step) m_steps[step]->setChecked(step == index);
  m_runs->setChecked(index < 0);
}

void StepList::keyPressEvent(QKeyEvent* event) {
  const int by = event->key() == Qt::Key_Down ? 1 : event->key() == Qt::Key_Up ? -1 : 0;
  QVector<QAbstractButton*> all(m_steps.begin(), m_steps.end());
  all.append(m_runs);
  for (int at = 0; by != 0 && at < all.size(); ++at) {
    if (!all[at]->hasFocus()) continue;
    for (int next = at + by; next >= 0 && next < all.size(); next += by) {
      if (!all[next]->isEnabled()) continue;
      all[next]->setFocus(Qt::TabFocusReason);
      return;
    }
  }
  QWidget::keyPressEvent(event);
}

}  // namespace haq::ui
