// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/chat/message_view.h"

#include <QContextMenuEvent>
#include <QEvent>
#include <QHBoxLayout>
#include <QKeyEvent>
#include <QMenu>
#include <QPainter>
#include <QPlainTextEdit>
#include <QPushButton>

#include "engine/profile/chats/chat_export.h"
#include "ui/chat/markdown_view.h"
#include "ui/chat/message_facts.h"
#include "ui/shared/style.h"

namespace haq::ui {

using profile::MessageState;

namespace {

constexpr int kSide = MessageView::kSideMargin;
constexpr int kEditorHeight = 120;
/// The user's card leaves this share of the column free at its left.
constexpr double kCardShare = 0.86;

}  // namespace

MessageView::MessageView(const profile::Message& message, const MessagePlace& place,
                         QWidget* parent)
    : QWidget(parent),
      m_id(message.id),
      m_role(message.role),
      m_state(message.state),
      m_place(place),
      m_body(new MarkdownView(this)),
      m_name(new TextLabel({}, FontRole::kSmall, Role::kMuted, this)),
      m_note(new TextLabel({}, FontRole::kSmall, Role::kWarning, this)),
      m_failure(new Banner(this)),
      m_facts(new ElidedLabel(FontRole::kSmall, Role::kMuted, this)),
      m_siblingLabel(new TextLabel({}, FontRole::kSmall, Role::kMuted, this)),
      m_previous(action(Icon::kChevronLeft, tr("Previous version"))),
      m_next(action(Icon::kChevronRight, tr("Next version"))),
      m_copy(action(Icon::kCopy, tr("Copy message"))),
      m_edit(action(Icon::kEdit, tr("Edit"))),
      m_regenerate(action(Icon::kRegenerate, tr("Regenerate"))),
      m_continue(action(Icon::kContinue, tr("Continue this answer"))),
      m_reproduce(action(Icon::kSpark, tr("Reproduce with the same seed"))) {
  m_note->setWordWrap(true);
  m_failure->hide();
  m_facts->setTextInteractionFlags(Qt::TextSelectableByMouse);
  m_body->setAccessibleName(m_role == profile::Role::kUser ? tr("You") : tr("Model"));
  connect(m_body, &MarkdownView::linkActivated, this, &MessageView::linkActivated);
  m_body->installEventFilter(this);
  connect(m_previous, &QToolButton::clicked, this, [this] { Q_EMIT siblingAsked(m_id, -1); });
  connect(m_next, &QToolButton::clicked, this, [this] { Q_EMIT siblingAsked(m_id, 1); });
  connect(m_copy, &QToolButton::clicked, this, [this] { Q_EMIT copyAsked(m_id); });
  connect(m_edit, &QToolButton::clicked, this, &MessageView::startEdit);
  connect(m_regenerate, &QToolButton::clicked, this, [this] { Q_EMIT regenerateAsked(m_id); });
  connect(m_continue, &QToolButton::clicked, this, [this] { Q_EMIT continueAsked(m_id); });
  connect(m_reproduce, &QToolButton::clicked, this, [this] { Q_EMIT reproduceAsked(m_id); });
  connect(&Theme::instance(), &Theme::changed, this, [this] {
    m_cachedWidth = -1;
    Q_EMIT heightChanged();
  });
  m_source = QString::fromStdString(message.content);
  m_hasText = !m_source.isEmpty();
  if (m_role == profile::Role::kUser) {
    m_body->setPlain(m_source);
  } else {
    m_body->setMarkdown(m_source, m_state != MessageState::kStreaming);
  }
  describe(message);
}

QToolButton* MessageView::action(Icon which, const QString& name) {
  QToolButton* button = iconButton(which, name, this);
  button->setAutoRaise(true);
  button->installEventFilter(this);
  return button;
}

void MessageView::describe(const profile::Message& message) {
  const MessageFacts facts = factsOf(message);
  m_state = message.state;
  m_name->setText(facts.model);
  setFooter(facts.line, facts.detail);
  m_note->setText(facts.note);
  m_resumable = facts.resumable;
  m_reproducible = facts.reproducible;
  if (m_state == MessageState::kFailed) {
    m_failure->show(Banner::Kind::kError, facts.error, facts.hint);
    connect(m_failure->addButton(tr("Try again")), &QPushButton::clicked, this,
            [this] { Q_EMIT regenerateAsked(m_id); });
  } else {
    m_failure->hide();
  }
  m_cachedWidth = -1;
  showActions();
}

void MessageView::setFooter(const QString& text, const QString& detail) {
  if (text == m_footer && detail.isEmpty()) return;
  m_footer = text;
  m_facts->setFullText(text);
  m_facts->setToolTip(detail.isEmpty() ? text : detail);
}

void MessageView::appendText(const QString& text) {
  m_source += text;
  m_hasText = true;
  setFooter({});
  m_body->appendMarkdown(text);
  m_cachedWidth = -1;
}

void MessageView::finish(const profile::Message& message) {
  m_body->finishMarkdown();
  describe(message);
}

void MessageView::setPlace(const MessagePlace& place) {
  const bool taller = (m_place.siblings > 1) != (place.siblings > 1);
  m_place = place;
  if (taller) m_cachedWidth = -1;
  showActions();
}

void MessageView::setPrefill(qint64 done, qint64 total) {
  if (m_hasText) return;
  setFooter(total > 0 ? tr("Reading the prompt, %1 of %2 tokens").arg(done).arg(total)
                      : tr("Reading the prompt"));
  m_cachedWidth = -1;
}

bool MessageView::holdsFocus() const {
  const QWidget* focus = focusWidget();
  return focus != nullptr && focus->hasFocus();
}

void MessageView::showActions() {
  const bool ended = m_state != MessageState::kStreaming;
  const bool seen = (m_hovered || holdsFocus()) && ended && !isEditing();
  const bool answer = m_role == profile::Role::kAssistant;
  m_copy->setVisible(seen && m_hasText);
  m_edit->setVisible(seen && m_hasText);
  m_regenerate->setVisible(seen && answer);
  m_continue->setVisible(seen && answer && m_resumable);
  m_reproduce->setVisible(seen && answer && m_reproducible);
  m_edit->setEnabled(m_place.canAct);
  m_regenerate->setEnabled(m_place.canAct);
  m_continue->setEnabled(m_place.canAct);
  m_reproduce->setEnabled(m_place.canAct);
  const bool several = m_place.siblings > 1 && !isEditing();
  m_previous->setVisible(several);
  m_next->setVisible(several);
  m_siblingLabel->setVisible(several);
  m_previous->setEnabled(m_place.sibling > 0 && ended);
  m_next->setEnabled(m_place.sibling + 1 < m_place.siblings && ended);
  m_siblingLabel->setText(QStringLiteral("%1/%2").arg(m_place.sibling + 1).arg(m_place.siblings));
  m_siblingLabel->setAccessibleName(
      tr("Version %1 of %2").arg(m_place.sibling + 1).arg(m_place.siblings));
  m_facts->setVisible(answer && !isEditing());
  if (m_cachedWidth > 0) arrange(m_cachedWidth, true);
}

int MessageView::heightFor(int width) {
  if (m_cachedWidth != width) {
    m_cachedWidth = width;
    m_cachedHeight = arrange(width, false);
  }
  return m_cachedHeight;
}

int MessageView::arrange(int width, bool apply) {
  const bool user = m_role == profile::Role::kUser;
  const int button = Theme::instance().scaled(kHitTarget + space::kXs);
  int y = 0;
  const auto place = [apply](QWidget* widget, QRect rect) {
    if (apply) widget->setGeometry(rect.translated(kSide, 0));
  };
  m_name->setVisible(!user && !m_name->text().isEmpty());
  if (m_name->isVisibleTo(this)) {
    const int height = m_name->sizeHint().height();
    place(m_name, {0, y, width, height});
    y += height + space::kXs;
  }
  if (isEditing()) {
    const int buttons = m_editButtons->sizeHint().height();
    place(m_editor, {0, y, width, kEditorHeight});
    place(m_editButtons, {0, y + kEditorHeight + space::kS, width, buttons});
    m_card = {};
    return y + kEditorHeight + space::kS + buttons + space::kM;
  }
  int right = width;  // of the row of actions
  m_body->setVisible(m_hasText);
  if (m_hasText && user) {
    // The space between the lines stands below the last one too; the card does not count it twice.
    const int leading = fontMetrics().height() * 2 / 5;
    const int limit = static_cast<int>(width * kCardShare) - 2 * space::kM;
    const int bodyWidth = m_body->naturalWidth(limit);
    const int height = m_body->heightFor(bodyWidth);
    const int left = width - bodyWidth - space::kM;
    place(m_body, {left, y + space::kS, bodyWidth, height});
    const QRect card(left - space::kM, y, bodyWidth + 2 * space::kM,
                     height + 2 * space::kS - leading);
    if (apply) m_card = card.translated(kSide, 0);
    right = card.left() - space::kXs;
    y += card.height() + space::kS;
  } else if (m_hasText) {
    const int height = m_body->heightFor(width);
    place(m_body, {0, y, width, height});
    m_card = {};
    y += height;
  }
  if (m_failure->isVisibleTo(this)) {
    y += space::kS;
    const int height = std::max(m_failure->sizeHint().height(), m_failure->heightForWidth(width));
    place(m_failure, {0, y, width, height});
    y += height;
  }
  m_note->setVisible(!m_note->text().isEmpty());
  if (!m_note->text().isEmpty()) {
    y += space::kS;
    const int height = m_note->heightForWidth(width);
    place(m_note, {0, y, width, height});
    y += height;
  }
  if (!user) {
    y += space::kXs;
    const int height = m_facts->sizeHint().height();
    place(m_facts, {0, y, width, height});
    y += height + space::kXs;
  }
  // Versions and actions: below an answer, left of the user's card. Their place is kept, so that
  // nothing moves when they come and go.
  const int label = m_siblingLabel->sizeHint().width() + space::kXs;
  const bool several = m_place.siblings > 1;
  int x = user ? right : 0;
  const int row = user ? 0 : y;
  if (user) {
    for (QToolButton* action : {m_edit, m_copy}) {
      x -= button;
      place(action, {x, row, button, button});
    }
  }
  if (several) {
    const int versions = user ? y - space::kXs : row;
    int at = user ? width - 2 * button - label : 0;
    place(m_previous, {at, versions, button, button});
    place(m_siblingLabel, {at + button, versions, label, button});
    place(m_next, {at + button + label, versions, button, button});
    if (!user) x = 2 * button + label + space::kXs;
  }
  if (!user) {
    // The first icon lines up with the text.
    if (!several) x = -space::kXs - 2;
    for (QToolButton* action : {m_copy, m_regenerate, m_edit, m_continue, m_reproduce}) {
      if (!action->isVisibleTo(this)) continue;
      place(action, {x, row, button, button});
      x += button;
    }
    return y + button;
  }
  return y + (several ? button : 0);
}

void MessageView::resizeEvent(QResizeEvent*) {
  arrange(width() - 2 * kSide, true);
}

void MessageView::paintEvent(QPaintEvent*) {
  QPainter painter(this);
  painter.setRenderHint(QPainter::Antialiasing);
  if (!m_card.isNull()) {
    paintPanel(painter, m_card, Theme::instance().userCard(), QColor(), kRadius);
  }
  if (m_body->hasFocus()) {
    const QRect ring = m_card.isNull() ? m_body->geometry().adjusted(-space::kS, -space::kXs,
                                                                     space::kS, space::kXs)
                                       : m_card;
    paintFocusRing(painter, ring.intersected(rect()), kRadius);
  }
}

void MessageView::enterEvent(QEnterEvent* event) {
  m_hovered = true;
  showActions();
  QWidget::enterEvent(event);
}

void MessageView::leaveEvent(QEvent* event) {
  m_hovered = false;
  showActions();
  QWidget::leaveEvent(event);
}

bool MessageView::eventFilter(QObject* watched, QEvent* event) {
  if (event->type() == QEvent::FocusIn || event->type() == QEvent::FocusOut) {
    // Afterwards: while a focus event is on its way the other widget has no focus yet.
    QMetaObject::invokeMethod(
        this,
        [this] {
          showActions();
          update();
        },
        Qt::QueuedConnection);
  }
  if (watched == m_editor && event->type() == QEvent::KeyPress) {
    const auto* key = static_cast<QKeyEvent*>(event);
    if (key->key() == Qt::Key_Escape) {
      endEdit(false);
      return true;
    }
    if ((key->key() == Qt::Key_Return || key->key() == Qt::Key_Enter) &&
        (key->modifiers() & Qt::ControlModifier)) {
      endEdit(true);
      return true;
    }
  }
  return QWidget::eventFilter(watched, event);
}

void MessageView::contextMenuEvent(QContextMenuEvent* event) {
  if (isEditing() || m_state == MessageState::kStreaming) return;
  QMenu menu(this);
  const auto add = [&](QToolButton* button, bool offered) {
    if (!offered) return;
    QAction* entry = menu.addAction(button->icon(), button->accessibleName());
    entry->setEnabled(button == m_copy || m_place.canAct);
    connect(entry, &QAction::triggered, button, &QToolButton::click);
  };
  const bool answer = m_role == profile::Role::kAssistant;
  add(m_copy, m_hasText);
  add(m_edit, m_hasText);
  add(m_regenerate, answer);
  add(m_continue, answer && m_resumable);
  add(m_reproduce, answer && m_reproducible);
  menu.exec(event->globalPos());
}

void MessageView::startEdit() {
  if (isEditing() || !m_place.canAct || !m_hasText) return;
  const bool user = m_role == profile::Role::kUser;
  m_editor = new QPlainTextEdit(m_source, this);
  m_editor->setAccessibleName(tr("New wording"));
  m_editor->setTabChangesFocus(true);
  m_editor->installEventFilter(this);
  m_editButtons = new QWidget(this);
  auto* row = new QHBoxLayout(m_editButtons);
  row->setContentsMargins(0, 0, 0, 0);
  row->setSpacing(space::kS);
  row->addWidget(new TextLabel(user ? tr("The old wording stays as another version.")
                                    : tr("The model's own words stay as another version."),
                               FontRole::kSmall, Role::kMuted),
                 1);
  QPushButton* cancel = pushButton(tr("Cancel"));
  QPushButton* save = pushButton(user ? tr("Send") : tr("Save"), true);
  row->addWidget(cancel);
  row->addWidget(save);
  connect(cancel, &QPushButton::clicked, this, [this] { endEdit(false); });
  connect(save, &QPushButton::clicked, this, [this] { endEdit(true); });
  m_body->hide();
  m_editor->show();
  m_editButtons->show();
  m_editor->setFocus();
  m_editor->moveCursor(QTextCursor::End);
  showActions();
  m_cachedWidth = -1;
  Q_EMIT heightChanged();
  arrange(width() - 2 * kSide, true);
  update();
}

void MessageView::endEdit(bool save) {
  const QString text = m_editor->toPlainText();
  m_editor->deleteLater();
  m_editor = nullptr;
  m_editButtons->deleteLater();
  m_editButtons = nullptr;
  m_cachedWidth = -1;
  m_body->setFocus();
  showActions();
  Q_EMIT heightChanged();
  update();
  if (save && text != m_source) Q_EMIT editAsked(m_id, text);
}

}  // namespace haq::ui
