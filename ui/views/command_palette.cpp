// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/views/command_palette.h"

#include <QKeyEvent>
#include <QLineEdit>
#include <QListView>
#include <QPainter>
#include <QStyledItemDelegate>
#include <QTimer>
#include <QVBoxLayout>

#include "ui/shared/style.h"
#include "ui/shared/widgets.h"

namespace haq::ui {

namespace {

constexpr int kWidth = 560;
constexpr int kRows = 10;
constexpr int kIcon = 16;

class CommandDelegate : public QStyledItemDelegate {
 public:
  using QStyledItemDelegate::QStyledItemDelegate;

  QSize sizeHint(const QStyleOptionViewItem& option, const QModelIndex&) const override {
    return {0, std::max(option.fontMetrics.height() + space::kM, kHitTarget)};
  }

  void paint(QPainter* painter, const QStyleOptionViewItem& option,
             const QModelIndex& index) const override {
    const Theme& theme = Theme::instance();
    const bool selected = option.state & QStyle::State_Selected;
    painter->save();
    const QRect row = option.rect.adjusted(space::kXs, 1, -space::kXs, -1);
    if (selected) {
      paintPanel(*painter, row, theme.tint(Role::kAccent, Role::kRaised, 0.18), {}, kRadius);
    }
    const int side = theme.scaled(kIcon);
    QRect inner = row.adjusted(space::kS, 0, -space::kS, 0);
    const auto icon = index.data(Qt::DecorationRole).value<QIcon>();
    if (!icon.isNull()) {
      icon.paint(painter, QRect(inner.left(), inner.center().y() - side / 2 + 1, side, side));
    }
    inner.setLeft(inner.left() + side + space::kS);
    painter->setFont(theme.font(FontRole::kSmall));
    painter->setPen(theme.color(Role::kMuted));
    const QString keys = index.data(ActionModel::kShortcut).toString();
    painter->drawText(inner, Qt::AlignRight | Qt::AlignVCenter, keys);
    const int keysWidth = painter->fontMetrics().horizontalAdvance(keys) + space::kM;
    painter->setFont(option.font);
    painter->setPen(theme.color(Role::kText));
    const QString name = index.data().toString();
    painter->drawText(inner, Qt::AlignLeft | Qt::AlignVCenter, name);
    const int nameWidth = painter->fontMetrics().horizontalAdvance(name) + space::kM;
    painter->setFont(theme.font(FontRole::kSmall));
    painter->setPen(theme.color(Role::kMuted));
    const QRect rest = inner.adjusted(nameWidth, 0, -keysWidth, 0);
    if (rest.width() > 40) {
      painter->drawText(rest, Qt::AlignLeft | Qt::AlignVCenter,
                        index.data(ActionModel::kGroup).toString());
    }
    painter->restore();
  }
};

}  // namespace

CommandPalette::CommandPalette(QWidget* parent)
    : QDialog(parent, Qt::Popup | Qt::FramelessWindowHint),
      m_field(new QLineEdit(this)),
      m_list(new QListView(this)),
      m_nothing(new TextLabel(tr("Nothing like that. Try fewer letters."), FontRole::kBody,
                              Role::kMuted, this)) {
  setAccessibleName(tr("Command palette"));
  setObjectName(QStringLiteral("commandPalette"));
  m_field->setPlaceholderText(tr("What do you want to do?"));
  m_field->setAccessibleName(tr("Search for a command"));
  m_field->addAction(icon(Icon::kSearch, Role::kMuted), QLineEdit::LeadingPosition);
  m_field->setClearButtonEnabled(true);
  m_field->installEventFilter(this);
  m_list->setModel(&m_actions);
  m_list->setItemDelegate(new CommandDelegate(m_list));
  m_list->setAccessibleName(tr("Commands"));
  m_list->setFrameShape(QFrame::NoFrame);
  m_list->setFocusPolicy(Qt::NoFocus);
  m_list->setUniformItemSizes(true);
  m_list->setHorizontalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
  auto* column = new QVBoxLayout(this);
  column->setContentsMargins(space::kS, space::kS, space::kS, space::kS);
  column->setSpacing(space::kS);
  column->addWidget(m_field);
  column->addWidget(m_list, 1);
  column->addWidget(m_nothing, 0, Qt::AlignHCenter);
  m_nothing->hide();
  connect(m_field, &QLineEdit::textChanged, this, &CommandPalette::filter);
  connect(m_field, &QLineEdit::returnPressed, this, &CommandPalette::run);
  connect(m_list, &QListView::clicked, this, &CommandPalette::run);
}

void CommandPalette::popUp() {
  const QWidget* over = parentWidget();
  const int width = std::min(Theme::instance().scaled(kWidth), over->width() - 2 * space::kXl);
  m_field->clear();
  filter({});
  // Whole rows only, as many as there is room for.
  const int row = std::max(m_list->sizeHintForRow(0), kHitTarget);
  const int fixed = m_field->sizeHint().height() + 3 * space::kS + 2;
  const int rows = std::clamp((over->height() - 3 * space::kXl - fixed) / row, 3, kRows);
  const QPoint corner = over->mapToGlobal(QPoint((over->width() - width) / 2, 2 * space::kXl));
  setGeometry(QRect(corner, QSize(width, fixed + rows * row)));
  show();
  m_field->setFocus(Qt::PopupFocusReason);
}

bool CommandPalette::eventFilter(QObject* watched, QEvent* event) {
  if (watched == m_field && event->type() == QEvent::KeyPress) {
    switch (static_cast<QKeyEvent*>(event)->key()) {
      case Qt::Key_Down:
        move(1);
        return true;
      case Qt::Key_Up:
        move(-1);
        return true;
      case Qt::Key_PageDown:
        move(kRows - 1);
        return true;
      case Qt::Key_PageUp:
        move(1 - kRows);
        return true;
      default:
        break;
    }
  }
  return QDialog::eventFilter(watched, event);
}

void CommandPalette::paintEvent(QPaintEvent*) {
  QPainter painter(this);
  painter.fillRect(rect(), Theme::instance().color(Role::kRaised));
  painter.setPen(blend(Theme::instance().hairline(), Theme::instance().color(Role::kText), 0.15));
  painter.drawRect(rect().adjusted(0, 0, -1, -1));
}

void CommandPalette::filter(const QString& text) {
  m_actions.setFilter(text);
  const bool any = m_actions.rowCount() > 0;
  m_list->setVisible(any);
  m_nothing->setVisible(!any);
  if (any) m_list->setCurrentIndex(m_actions.index(0));
}

void CommandPalette::move(int rows) {
  const int count = m_actions.rowCount();
  if (count == 0) return;
  const int row = std::clamp(m_list->currentIndex().row() + rows, 0, count - 1);
  m_list->setCurrentIndex(m_actions.index(row));
}

void CommandPalette::run() {
  QAction* chosen = m_actions.action(m_list->currentIndex().row());
  if (chosen == nullptr) return;
  close();
  // After the popup has gone, so that a dialog of the action gets the focus.
  QTimer::singleShot(0, chosen, &QAction::trigger);
}

}  // namespace haq::ui
