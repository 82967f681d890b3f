// SPDX-License-Identifier: GPL-3.0-or-later
#include <QApplication>
#include <QDateTime>
#include <QLineEdit>
#include <QLocale>
#include <QPainter>
#include <QTextLayout>

#include "ui/chat/conversation_panel.h"
#include "ui/shared/style.h"

namespace haq::ui {
namespace {

/// The text without its match marks, and the ranges that were marked, in bold.
QVector<QTextLayout::FormatRange> takeMatches(QString& text, const QColor& color) {
  QVector<QTextLayout::FormatRange> ranges;
  QString plain;
  int start = -1;
  for (const QChar c : text) {
    if (c == QLatin1Char(profile::kMatchBegin)) {
      start = static_cast<int>(plain.size());
    } else if (c == QLatin1Char(profile::kMatchEnd)) {
      if (start >= 0) {
        QTextLayout::FormatRange range;
        range.start = start;
        range.length = static_cast<int>(plain.size()) - start;
        range.format.setFontWeight(QFont::DemiBold);
        range.format.setForeground(color);
        ranges.append(range);
      }
      start = -1;
    } else {
      plain += c.isSpace() ? QChar(u' ') : c;
    }
  }
  text = plain;
  return ranges;
}

}  // namespace

QSize ConversationDelegate::sizeHint(const QStyleOptionViewItem& option,
                                     const QModelIndex& index) const {
  const int kind = index.data(ConversationListModel::kKindRole).toInt();
  const QFontMetrics body(Theme::instance().font(FontRole::kBody));
  const QFontMetrics small(Theme::instance().font(FontRole::kSmall));
  int height = body.height() + 2 * space::kS;
  if (kind == ConversationListModel::kHeading) height = small.height() + space::kM + space::kXs;
  if (kind == ConversationListModel::kHit) height += 2 * small.height() + space::kXs;
  return {option.rect.width(), height};
}

void ConversationDelegate::paint(QPainter* painter, const QStyleOptionViewItem& option,
                                 const QModelIndex& index) const {
  const Theme& theme = Theme::instance();
  const int kind = index.data(ConversationListModel::kKindRole).toInt();
  painter->save();
  painter->setRenderHint(QPainter::Antialiasing);
  QRect rect = option.rect;
  if (kind == ConversationListModel::kHeading) {
    painter->setFont(theme.font(FontRole::kSmall));
    painter->setPen(theme.color(Role::kMuted));
    painter->drawText(rect.adjusted(space::kM, 0, -space::kS, -space::kXs),
                      Qt::AlignLeft | Qt::AlignBottom, index.data().toString());
    painter->restore();
    return;
  }
  const QRect panel = rect.adjusted(space::kXs, 1, -space::kXs, -1);
  const bool selected = option.state & QStyle::State_Selected;
  if (selected) {
    paintPanel(*painter, panel, theme.tint(Role::kAccent, Role::kWindow, 0.16), {}, kRadius);
  } else if (option.state & QStyle::State_MouseOver) {
    paintPanel(*painter, panel, theme.hairline(), {}, kRadius);
  }
  if ((option.state & QStyle::State_HasFocus) && selected) paintFocusRing(*painter, panel, kRadius);
  QRect text = panel.adjusted(space::kS, 0, -space::kS, 0);
  const QFont body = theme.font(FontRole::kBody);
  painter->setFont(body);
  painter->setPen(theme.color(Role::kText));
  const QFontMetrics metrics(body);
  const QString title = index.data().toString();
  if (kind == ConversationListModel::kConversation) {
    painter->drawText(text, Qt::AlignVCenter | Qt::AlignLeft,
                      metrics.elidedText(title, Qt::ElideRight, text.width()));
    painter->restore();
    return;
  }
  text.setTop(text.top() + space::kXs);
  painter->drawText(text, Qt::AlignTop | Qt::AlignLeft,
                    metrics.elidedText(title, Qt::ElideRight, text.width()));
  QString snippet = index.data(ConversationListModel::kSnippetRole).toString();
  if (snippet.isEmpty()) snippet = tr("found in the title");
  const auto ranges = takeMatches(snippet, theme.color(Role::kText));
  const QFont small = theme.font(FontRole::kSmall);
  QTextLayout layout(snippet, small);
  layout.setFormats(ranges);
  layout.beginLayout();
  double y = 0;
  for (int line = 0; line < 2; ++line) {
    QTextLine row = layout.createLine();
    if (!row.isValid()) break;
    row.setLineWidth(text.width());
    row.setPosition({0, y});
    y += row.height();
  }
  layout.endLayout();
  painter->setPen(theme.color(Role::kMuted));
  layout.draw(painter, QPointF(text.left(), text.top() + metrics.height() + 2));
  painter->restore();
}

void ConversationDelegate::updateEditorGeometry(QWidget* editor, const QStyleOptionViewItem& option,
                                                const QModelIndex&) const {
  editor->setGeometry(option.rect.adjusted(space::kXs, 1, -space::kXs, -1));
}

}  // namespace haq::ui
