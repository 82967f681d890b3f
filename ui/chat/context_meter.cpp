// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/chat/context_meter.h"

#include <QPainter>
#include <algorithm>

#include "ui/shared/format.h"
#include "ui/shared/style.h"
#include "ui/shared/theme.h"

namespace haq::ui {
namespace {

constexpr int kBarWidth = 64;
constexpr int kBarHeight = 6;
/// From here on the bar warns: the oldest turns will soon be left out.
constexpr double kNearlyFull = 0.85;

}  // namespace

ContextMeter::ContextMeter(QWidget* parent) : QWidget(parent) {
  set(0, 0);
}

void ContextMeter::set(qint64 tokens, qint64 limit) {
  m_tokens = tokens;
  m_limit = limit;
  const QString words = limit > 0 ? tr("Context: %1 of %2 tokens used").arg(tokens).arg(limit)
                                  : tr("Context: not known without a model");
  setToolTip(words);
  setAccessibleName(words);
  updateGeometry();
  update();
}

QString ContextMeter::text() const {
  if (m_limit <= 0) return format::unknown();
  return QStringLiteral("%1 / %2").arg(format::count(m_tokens), format::count(m_limit));
}

QSize ContextMeter::sizeHint() const {
  const QFontMetrics metrics(Theme::instance().font(FontRole::kSmall));
  const QString widest =
      m_limit > 0 ? QStringLiteral("%1 / %1").arg(format::count(m_limit)) : text();
  return {kBarWidth + space::kS + metrics.horizontalAdvance(widest), metrics.height()};
}

void ContextMeter::paintEvent(QPaintEvent*) {
  QPainter painter(this);
  painter.setRenderHint(QPainter::Antialiasing);
  const Theme& theme = Theme::instance();
  const QRectF bar(0, (height() - kBarHeight) / 2.0, kBarWidth, kBarHeight);
  paintPanel(painter, bar, theme.hairline(Role::kRaised), {}, kBarHeight / 2.0);
  if (m_limit > 0 && m_tokens > 0) {
    const double share =
        std::min(1.0, static_cast<double>(m_tokens) / static_cast<double>(m_limit));
    QRectF used = bar;
    used.setWidth(std::max<double>(kBarHeight, bar.width() * share));
    paintPanel(painter, used, theme.color(share > kNearlyFull ? Role::kWarning : Role::kAccent), {},
               kBarHeight / 2.0);
  }
  painter.setFont(theme.font(FontRole::kSmall));
  painter.setPen(theme.color(Role::kMuted));
  painter.drawText(rect().adjusted(kBarWidth + space::kS, 0, 0, 0),
                   Qt::AlignVCenter | Qt::AlignLeft, text());
}

}  // namespace haq::ui
