// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/wizard/coverage_view.h"

#include <QAccessible>
#include <QHelpEvent>
#include <QKeyEvent>
#include <QPainter>
#include <QToolTip>
#include <algorithm>

#include "ui/models/quantize_tables.h"
#include "ui/shared/format.h"
#include "ui/shared/style.h"
#include "ui/shared/table_text.h"
#include "ui/shared/theme.h"

namespace haq::ui {

namespace {

constexpr int kPanelWidth = 150;
constexpr int kPanelHeight = 34;
constexpr double kMark = 6;

}  // namespace

CoverageView::CoverageView(ExpertCoverageModel* model, QWidget* parent)
    : QWidget(parent), m_model(model) {
  setFocusPolicy(Qt::StrongFocus);
  setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Expanding);
  connect(model, &QAbstractItemModel::modelReset, this, [this] {
    m_row = std::min(m_row, std::max(0, m_model->rowCount() - 1));
    updateGeometry();
    update();
  });
  connect(&Theme::instance(), &Theme::changed, this, [this] {
    updateGeometry();
    update();
  });
}

int CoverageView::titleHeight() const {
  return QFontMetrics(Theme::instance().font(FontRole::kSmall)).height();
}

int CoverageView::columns() const {
  const int wanted = Theme::instance().scaled(kPanelWidth) + space::kL;
  return std::clamp(width() / wanted, 1, std::max(1, m_model->rowCount()));
}

QRectF CoverageView::panel(int row) const {
  const int across = columns();
  const int down = (m_model->rowCount() + across - 1) / across;
  const double w = (width() + space::kL) / double(across) - space::kL;
  const double least = titleHeight() + kPanelHeight;
  const double h =
      std::clamp((height() + space::kS) / double(std::max(1, down)) - space::kS, 8.0, 2.2 * least);
  return {(row % across) * (w + space::kL), (row / across) * (h + space::kS), w, h};
}

QRectF CoverageView::bars(int row) const {
  return panel(row).adjusted(0, titleHeight() + kMark + 2, 0, 0);
}

void CoverageView::paintLayer(QPainter& painter, int row) const {
  const Theme& theme = Theme::instance();
  const QRectF area = bars(row);
  const int experts = m_model->columnCount();
  const double step = area.width() / std::max(1, experts);
  const double top = std::max({static_cast<double>(m_model->most(row)), m_model->even(row), 1.0});
  int weak = 0;
  painter.fillRect(area, theme.color(Role::kSunken));
  for (int expert = 0; expert < experts; ++expert) {
    const double share = static_cast<double>(m_model->tokens(row, expert)) / top;
    const double gap = step > 4 ? 1 : 0;
    const QRectF bar(area.left() + expert * step + gap / 2, area.bottom() - share * area.height(),
                     std::max(0.5, step - gap), share * area.height());
    const auto verdict = m_model->verdict(row, expert);
    if (verdict == ExpertCoverageModel::Verdict::kSeen) {
      painter.fillRect(bar, theme.color(Role::kAccent));
      continue;
    }
    ++weak;
    const QPointF tip(bar.center().x(), area.top() - 1);
    painter.setRenderHint(QPainter::Antialiasing);
    if (verdict == ExpertCoverageModel::Verdict::kNever) {
      painter.setPen(QPen(theme.color(Role::kMiss), 1.5));
      const double r = kMark / 2;
      painter.drawLine(tip + QPointF(-r, -kMark), tip + QPointF(r, 0));
      painter.drawLine(tip + QPointF(r, -kMark), tip + QPointF(-r, 0));
    } else {
      painter.setPen(Qt::NoPen);
      painter.setBrush(theme.color(Role::kMiss));
      painter.drawPolygon(
          QPolygonF{tip, tip + QPointF(-kMark / 2, -kMark), tip + QPointF(kMark / 2, -kMark)});
      painter.fillRect(bar.adjusted(0, -1, 0, 0), theme.color(Role::kMiss));
    }
    painter.setRenderHint(QPainter::Antialiasing, false);
  }
  const double even = area.bottom() - m_model->even(row) / top * area.height();
  painter.setPen(QPen(theme.color(Role::kText), 1, Qt::DotLine));
  painter.drawLine(QPointF(area.left(), even), QPointF(area.right(), even));

  painter.setFont(theme.font(FontRole::kSmall));
  const QRectF title(area.left(), panel(row).top(), area.width(), titleHeight());
  painter.setPen(theme.color(Role::kMuted));
  painter.drawText(title, Qt::AlignLeft | Qt::AlignVCenter,
                   tr("layer %1").arg(m_model->layer(row)));
  if (weak > 0) {
    painter.setPen(theme.color(Role::kMiss));
    painter.drawText(title, Qt::AlignRight | Qt::AlignVCenter, tr("%1 hardly seen").arg(weak));
  }
  if (hasFocus() && row == m_row) {
    const QRectF cell(area.left() + m_expert * step, area.top(), step, area.height());
    paintFocusRing(painter, cell.adjusted(-2, -2, 2, 2), 2);
  }
}

void CoverageView::paintEvent(QPaintEvent*) {
  if (m_model.isNull()) return;
  QPainter painter(this);
  if (m_model->rowCount() == 0) {
    painter.setFont(Theme::instance().font(FontRole::kSmall));
    painter.setPen(Theme::instance().color(Role::kMuted));
    painter.drawText(rect(), Qt::AlignCenter | Qt::TextWordWrap,
                     tr("Tokens of each expert appear with the first finished layer."));
    return;
  }
  for (int row = 0; row < m_model->rowCount(); ++row) paintLayer(painter, row);
}

CoverageView::Cell CoverageView::cellAt(const QPointF& position) const {
  for (int row = 0; !m_model.isNull() && row < m_model->rowCount(); ++row) {
    const QRectF area = panel(row);
    if (!area.contains(position)) continue;
    const double step = area.width() / std::max(1, m_model->columnCount());
    return {row, std::clamp(static_cast<int>((position.x() - area.left()) / step), 0,
                            m_model->columnCount() - 1)};
  }
  return {};
}

void CoverageView::describe() {
  const QString sentence =
      m_model->index(m_row, m_expert).data(ExpertCoverageModel::kSentenceRole).toString();
  setAccessibleDescription(sentence);
  QAccessibleEvent told(this, QAccessible::DescriptionChanged);
  QAccessible::updateAccessibility(&told);
  QToolTip::showText(mapToGlobal(bars(m_row).bottomLeft().toPoint()), sentence, this);
  update();
}

void CoverageView::keyPressEvent(QKeyEvent* event) {
  if (m_model.isNull() || m_model->rowCount() == 0) {
    QWidget::keyPressEvent(event);
    return;
  }
  if (event->matches(QKeySequence::Copy)) {
    copyTable(*m_model);
    return;
  }
  const auto move = [this](int rows, int experts) {
    m_row = std::clamp(m_row + rows, 0, m_model->rowCount() - 1);
    m_expert = std::clamp(m_expert + experts, 0, m_model->columnCount() - 1);
    describe();
  };
  switch (event->key()) {
    case Qt::Key_Left:
      move(0, -1);
      return;
    case Qt::Key_Right:
      move(0, 1);
      return;
    case Qt::Key_Up:
      move(-1, 0);
      return;
    case Qt::Key_Down:
      move(1, 0);
      return;
    default:
      QWidget::keyPressEvent(event);
  }
}

bool CoverageView::event(QEvent* event) {
  if (event->type() == QEvent::ToolTip && !m_model.isNull()) {
    auto* help = static_cast<QHelpEvent*>(event);
    const Cell cell = cellAt(help->pos());
    if (cell.row >= 0) {
      QToolTip::showText(
          help->globalPos(),
          m_model->index(cell.row, cell.expert).data(ExpertCoverageModel::kSentenceRole).toString(),
          this);
      return true;
    }
  }
  return QWidget::event(event);
}

QSize CoverageView::sizeHint() const {
  return {420, std::max(120, minimumSizeHint().height())};
}

QSize CoverageView::minimumSizeHint() const {
  if (m_model.isNull() || m_model->rowCount() == 0) return {180, Theme::instance().scaled(90)};
  const int across = std::max(1, columns());
  const int down = (m_model->rowCount() + across - 1) / across;
  return {180, std::min(down, 24) * (titleHeight() + kPanelHeight + space::kS)};
}

}  // namespace haq::ui
