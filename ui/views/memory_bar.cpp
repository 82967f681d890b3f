// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/views/memory_bar.h"

#include <QPainter>
#include <QPainterPath>

#include "ui/shared/format.h"
#include "ui/shared/style.h"

namespace haq::ui {

namespace {
constexpr int kBarHeight = 24;
constexpr int kSwatch = 10;
constexpr int kMarkOverhang = 4;
}  // namespace

MemoryBar::MemoryBar(QWidget* parent) : QWidget(parent) {
  setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Fixed);
}

void MemoryBar::setPlan(const MemoryPlan& plan) {
  m_plan = plan;
  QStringList parts;
  for (const MemoryTerm& term : plan.terms) {
    parts << term.name + QLatin1Char(' ') + format::bytes(static_cast<double>(term.bytes));
  }
  setAccessibleName(tr("Memory"));
  setAccessibleDescription(plan.verdict() + QLatin1Char(' ') + parts.join(QStringLiteral(", ")));
  updateGeometry();
  update();
}

int MemoryBar::legendRowHeight() const {
  return QFontMetrics(Theme::instance().font(FontRole::kSmall)).height() + space::kXs;
}

QSize MemoryBar::sizeHint() const {
  return {360, kBarHeight + 2 * kMarkOverhang + space::kS +
                   static_cast<int>(m_plan.terms.size() + 1) * legendRowHeight()};
}

QSize MemoryBar::minimumSizeHint() const {
  return {220, sizeHint().height()};
}

void MemoryBar::paintEvent(QPaintEvent*) {
  const Theme& theme = Theme::instance();
  QPainter painter(this);
  painter.setRenderHint(QPainter::Antialiasing);
  const qint64 scale = std::max<qint64>({m_plan.total(), m_plan.available, 1});
  const QRectF bar(0, kMarkOverhang, width(), kBarHeight);
  QPainterPath outline;
  outline.addRoundedRect(bar, kRadius, kRadius);
  painter.fillPath(outline, theme.color(Role::kSunken));
  painter.save();
  painter.setClipPath(outline);
  double x = bar.left();
  constexpr double kVisible = 2;  // a term that is there is seen, however small
  for (const MemoryTerm& term : m_plan.terms) {
    if (term.bytes == 0) continue;
    const double length = std::max(
        kVisible, bar.width() * static_cast<double>(term.bytes) / static_cast<double>(scale));
    const QRectF part(x, bar.top(), length, bar.height());
    painter.fillRect(part, theme.color(term.color));
    // The reserve is not the model's: hatched, so that it differs by more than its colour.
    if (term.color == Role::kDisabled) {
      painter.fillRect(part, QBrush(theme.color(Role::kSunken), Qt::BDiagPattern));
    }
    x += length;
    painter.fillRect(QRectF(x - 0.5, bar.top(), 1, bar.height()), theme.color(Role::kRaised));
  }
  painter.restore();
  if (m_plan.available >= 0) {
    const double mark =
        bar.width() * static_cast<double>(m_plan.available) / static_cast<double>(scale);
    painter.fillRect(
        QRectF(std::min(mark, width() - 2.0), 0, 2, kBarHeight + 2 * kMarkOverhang),
        theme.color(m_plan.missing() > 0 && !m_plan.runsFromDisk() ? Role::kError : Role::kText));
  }

  painter.setFont(theme.font(FontRole::kSmall));
  const int row = legendRowHeight();
  int y = kBarHeight + 2 * kMarkOverhang + space::kS;
  const auto line = [&](const QString& name, const QString& figure, const QColor& swatch,
                        bool hatch) {
    const QRectF square(0, y + (row - kSwatch) / 2.0, kSwatch, kSwatch);
    if (swatch.isValid()) {
      paintPanel(painter, square, swatch, {}, 2);
      if (hatch) painter.fillRect(square, QBrush(theme.color(Role::kRaised), Qt::BDiagPattern));
    }
    const QRect text(kSwatch + space::kS, y, width() - kSwatch - space::kS, row);
    painter.setPen(theme.color(Role::kText));
    painter.drawText(text, Qt::AlignVCenter | Qt::AlignRight, figure);
    const QFontMetrics metrics = painter.fontMetrics();
    const int room = text.width() - metrics.horizontalAdvance(figure) - space::kM;
    painter.setPen(theme.color(Role::kMuted));
    painter.drawText(text, Qt::AlignVCenter | Qt::AlignLeft,
                     metrics.elidedText(name, Qt::ElideRight, room));
    y += row;
  };
  for (const MemoryTerm& term : m_plan.terms) {
    line(term.name + QStringLiteral("   ") + term.help,
         format::bytes(static_cast<double>(term.bytes)), theme.color(term.color),
         term.color == Role::kDisabled);
  }
  const QString there = m_plan.available >= 0 ? format::bytes(static_cast<double>(m_plan.available))
                                              : format::unknown();
  line(tr("Available   what programs can get without swapping (the mark on the bar)"), there, {},
       false);
}

}  // namespace haq::ui
