// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/shared/row_delegate.h"

#include <QPainter>

#include "ui/shared/theme.h"

namespace haq::ui {

QSize RowDelegate::sizeHint(const QStyleOptionViewItem& option, const QModelIndex& index) const {
  return QStyledItemDelegate::sizeHint(option, index) + QSize(2 * space::kM, 0);
}

void RowDelegate::paint(QPainter* painter, const QStyleOptionViewItem& option,
                        const QModelIndex& index) const {
  QStyleOptionViewItem item(option);
  initStyleOption(&item, index);
  const Theme& theme = Theme::instance();
  if (item.state & QStyle::State_Selected) {
    painter->fillRect(option.rect, theme.tint(Role::kAccent, Role::kRaised, 0.18));
  }
  painter->fillRect(QRect(option.rect.left(), option.rect.bottom(), option.rect.width(), kHairline),
                    theme.hairline(Role::kRaised));
  painter->setFont(item.font);
  painter->setPen(theme.color(Role::kText));
  const QRect inner = option.rect.adjusted(space::kS, 0, -space::kS, 0);
  painter->drawText(inner, static_cast<int>(item.displayAlignment),
                    item.fontMetrics.elidedText(item.text, Qt::ElideMiddle, inner.width()));
}

}  // namespace haq::ui
