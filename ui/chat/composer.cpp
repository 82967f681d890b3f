// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/chat/composer.h"

#include <QHBoxLayout>
#include <QKeyEvent>
#include <QPainter>
#include <QPushButton>
#include <QTextDocument>
#include <QVBoxLayout>
#include <algorithm>

#include "ui/chat/context_meter.h"
#include "ui/shared/style.h"

namespace haq::ui {
namespace {

constexpr int kMostLines = 8;
constexpr int kChipLetters = 48;

}  // namespace

Composer::Composer(QWidget* parent)
    : QWidget(parent),
      m_editor(new QPlainTextEdit(this)),
      m_meter(new ContextMeter(this)),
      m_options(iconButton(Icon::kSliders, tr("System prompt and sampling"), this)),
      m_hint(new TextLabel({}, FontRole::kSmall, Role::kMuted, this)),
      m_send(pushButton(tr("Send"), true, this)),
      m_stop(pushButton(tr("Stop"), false, this)),
      m_chips(new QWidget(this)) {
  auto* column = new QVBoxLayout(this);
  column->setContentsMargins(space::kM, space::kS, space::kS, space::kS);
  column->setSpacing(space::kXs);
  auto* chips = new QVBoxLayout(m_chips);
  chips->setContentsMargins(0, 0, 0, 0);
  chips->setSpacing(space::kXs);
  m_chips->hide();
  column->addWidget(m_chips);
  m_editor->setFrameShape(QFrame::NoFrame);
  m_editor->viewport()->setAutoFillBackground(false);
  m_editor->setTabChangesFocus(true);
  m_editor->setVerticalScrollBarPolicy(Qt::ScrollBarAsNeeded);
  m_editor->setAccessibleName(tr("Message"));
  m_editor->document()->setDocumentMargin(0);
  m_editor->installEventFilter(this);
  column->addWidget(m_editor);
  auto* row = new QHBoxLayout;
  row->setSpacing(space::kM);
  m_options->setCheckable(true);
  row->addWidget(m_options);
  row->addWidget(m_meter);
  row->addWidget(m_hint, 1);
  row->addWidget(m_stop);
  row->addWidget(m_send);
  column->addLayout(row);
  m_stop->setIcon(icon(Icon::kStop));
  m_stop->setToolTip(tr("Stop the answer (Esc)"));
  m_hint->setAlignment(Qt::AlignRight | Qt::AlignVCenter);
  connect(m_send, &QPushButton::clicked, this, &Composer::send);
  connect(m_stop, &QPushButton::clicked, this, &Composer::stopAsked);
  connect(m_editor, &QPlainTextEdit::textChanged, this, [this] {
    fitHeight();
    updateButtons();
  });
  connect(&Theme::instance(), &Theme::changed, this, [this] { fitHeight(); });
  setBlocked({});
  updateButtons();
  fitHeight();
}

void Composer::setAnswering(bool answering) {
  m_answering = answering;
  updateButtons();
}

void Composer::setBlocked(const QString& reason) {
  m_blocked = reason;
  m_editor->setPlaceholderText(reason.isEmpty() ? tr("Ask something") : reason);
  updateButtons();
}

void Composer::setSendWithEnter(bool enter) {
  m_sendWithEnter = enter;
  updateButtons();
}

void Composer::updateButtons() {
  const bool text = !m_editor->toPlainText().trimmed().isEmpty();
  m_stop->setVisible(m_answering);
  m_send->setText(m_answering && text ? tr("Queue") : tr("Send"));
  m_send->setVisible(!m_answering || text);
  m_send->setEnabled(m_blocked.isEmpty() && (text || !m_queue.isEmpty()));
  const QString keys = m_sendWithEnter ? tr("Enter") : tr("Ctrl+Enter");
  m_send->setToolTip(m_answering ? tr("Sends this after the answer (%1)").arg(keys)
                                 : tr("Send (%1)").arg(keys));
  m_hint->setText(!text             ? QString()
                  : m_answering     ? tr("%1 queues").arg(keys)
                  : m_sendWithEnter ? tr("Shift+Enter: new line")
                                    : tr("Enter: new line"));
}

void Composer::fitHeight() {
  const QFontMetrics metrics(m_editor->font());
  // QPlainTextEdit measures its document in lines.
  const int lines =
      std::clamp(static_cast<int>(m_editor->document()->size().height()), 1, kMostLines);
  m_editor->setFixedHeight(lines * metrics.lineSpacing() + space::kS);
}

void Composer::send() {
  const QString text = m_editor->toPlainText().trimmed();
  if (!m_blocked.isEmpty()) return;
  if (text.isEmpty()) {
    if (!m_queue.isEmpty() && !m_answering) Q_EMIT sendQueuedAsked();
    return;
  }
  m_editor->clear();
  Q_EMIT sendAsked(text);
}

int Composer::chipCount() const {
  return static_cast<int>(m_queue.size());
}

void Composer::setQueue(const QStringList& texts) {
  m_queue = texts;
  auto* column = static_cast<QVBoxLayout*>(m_chips->layout());
  while (QLayoutItem* item = column->takeAt(0)) {
    item->widget()->hide();
    item->widget()->deleteLater();
    delete item;
  }
  for (qsizetype i = 0; i < texts.size(); ++i) {
    auto* row = new QWidget(m_chips);
    auto* layout = new QHBoxLayout(row);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->setSpacing(space::kXs);
    auto* chip = new Chip(row);
    QString shown = texts[i].simplified();
    if (shown.size() > kChipLetters) shown = shown.left(kChipLetters) + u'…';
    chip->setIcon(icon(Icon::kQueue));
    chip->setText(shown);
    chip->setToolTip(tr("Waits to be sent; click to edit it"));
    chip->setAccessibleName(tr("Queued: %1. Press to edit").arg(shown));
    connect(chip, &QToolButton::clicked, this, [this, i] {
      QStringList left = m_queue;
      const QString text = left.takeAt(i);
      const QString draft = m_editor->toPlainText();
      m_editor->setPlainText(draft.trimmed().isEmpty() ? text : text + u'\n' + draft);
      m_editor->moveCursor(QTextCursor::End);
      m_editor->setFocus();
      Q_EMIT queueEdited(left);
    });
    QToolButton* cross = iconButton(Icon::kClose, tr("Remove from the queue: %1").arg(shown), row);
    connect(cross, &QToolButton::clicked, this, [this, i] {
      QStringList left = m_queue;
      left.removeAt(i);
      Q_EMIT queueEdited(left);
    });
    layout->addWidget(chip);
    layout->addWidget(cross);
    layout->addStretch();
    column->addWidget(row);
  }
  m_chips->setVisible(!texts.isEmpty());
  updateButtons();
}

bool Composer::eventFilter(QObject* watched, QEvent* event) {
  if (event->type() == QEvent::FocusIn || event->type() == QEvent::FocusOut) update();
  if (event->type() == QEvent::Resize) fitHeight();
  if (event->type() != QEvent::KeyPress) return QWidget::eventFilter(watched, event);
  const auto* key = static_cast<QKeyEvent*>(event);
  const bool enter = key->key() == Qt::Key_Return || key->key() == Qt::Key_Enter;
  if (enter && !(key->modifiers() & Qt::ShiftModifier)) {
    const bool control = key->modifiers() & Qt::ControlModifier;
    if (control || m_sendWithEnter) {
      send();
      return true;
    }
  }
  if (key->key() == Qt::Key_Escape && m_answering) {
    Q_EMIT stopAsked();
    return true;
  }
  if (key->key() == Qt::Key_Up && m_editor->toPlainText().isEmpty()) {
    Q_EMIT editLastAsked();
    return true;
  }
  return QWidget::eventFilter(watched, event);
}

void Composer::paintEvent(QPaintEvent*) {
  QPainter painter(this);
  painter.setRenderHint(QPainter::Antialiasing);
  const Theme& theme = Theme::instance();
  paintPanel(painter, rect(), theme.color(Role::kRaised), theme.hairline(Role::kRaised), kRadius);
  if (m_editor->hasFocus()) paintFocusRing(painter, rect(), kRadius);
}

}  // namespace haq::ui
