// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/chat/transcript_view.h"

#include <QClipboard>
#include <QEvent>
#include <QGuiApplication>
#include <QKeyEvent>
#include <QScrollBar>
#include <algorithm>

#include "ui/chat/markdown_view.h"
#include "ui/models/chat_session.h"

namespace haq::ui {

using profile::Id;
using profile::Message;

namespace {

constexpr int kLineLength = 80;
/// English prose: its average width sets the column, not that of all glyphs of the font.
constexpr auto kSample =
    u"The quick brown fox jumps over the lazy dog, and then it sleeps for a while.";
constexpr int kPasses = 8;
constexpr int kGap = space::kS;

}  // namespace

TranscriptView::TranscriptView(ChatSession& session, QWidget* parent)
    : QAbstractScrollArea(parent), m_session(session) {
  setFrameShape(QFrame::NoFrame);
  setHorizontalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
  setFocusPolicy(Qt::StrongFocus);
  setAccessibleName(tr("Conversation"));
  viewport()->setAutoFillBackground(false);
  // Labels take their colour from the role that goes with their background.
  viewport()->setBackgroundRole(QPalette::Window);
  connect(&session, &ChatSession::opened, this, [this] {
    m_following = true;
    rebuild();
  });
  connect(&session, &ChatSession::branchChanged, this, &TranscriptView::rebuild);
  connect(&session, &ChatSession::messageAdded, this, &TranscriptView::append);
  connect(&session, &ChatSession::answeringChanged, this, &TranscriptView::updatePlaces);
  connect(&session, &ChatSession::textAppended, this, [this](qint64 id, const QString& text) {
    const int index = indexOf(id);
    if (index < 0) return;
    Item& item = m_items[static_cast<std::size_t>(index)];
    if (item.view != nullptr) item.view->appendText(text);
    item.measured = item.measured && item.view == nullptr ? false : item.measured;
    arrange();
  });
  connect(&session, &ChatSession::messageFinished, this, [this](qint64 id) {
    const Message* message = m_session.tree().find(id);
    if (MessageView* view = viewOf(id); view != nullptr && message != nullptr) {
      view->finish(*message);
    }
    arrange();
  });
  connect(&session, &ChatSession::prefill, this, [this](qint64 id, qint64 done, qint64 total) {
    if (MessageView* view = viewOf(id)) view->setPrefill(done, total);
  });
}

int TranscriptView::columnWidth() const {
  const QString sample = QString::fromUtf16(kSample);
  const double average =
      QFontMetricsF(Theme::instance().font(FontRole::kBody)).horizontalAdvance(sample) /
      static_cast<double>(sample.size());
  const int most = static_cast<int>(average * kLineLength);
  return std::max(8 * space::kXl, std::min(most, viewport()->width() - 2 * space::kXl));
}

int TranscriptView::indexOf(Id id) const {
  // Nearly always the last one is meant.
  for (int i = static_cast<int>(m_items.size()) - 1; i >= 0; --i) {
    if (m_items[static_cast<std::size_t>(i)].id == id) return i;
  }
  return -1;
}

MessageView* TranscriptView::viewOf(Id id) const {
  const int index = indexOf(id);
  return index < 0 ? nullptr : m_items[static_cast<std::size_t>(index)].view;
}

int TranscriptView::liveViews() const {
  return static_cast<int>(std::count_if(m_items.begin(), m_items.end(),
                                        [](const Item& item) { return item.view != nullptr; }));
}

int TranscriptView::topOf(int index) const {
  int top = space::kXl;
  for (int i = 0; i < index; ++i) top += m_items[static_cast<std::size_t>(i)].height + kGap;
  return top;
}

int TranscriptView::estimate(Id id) const {
  const Message* message = m_session.tree().find(id);
  const QFontMetrics metrics(Theme::instance().font(FontRole::kBody));
  const int perLine = std::max(20, m_width / std::max(1, metrics.averageCharWidth()));
  const int lines =
      static_cast<int>(message->content.size()) / perLine + 1 +
      static_cast<int>(std::count(message->content.begin(), message->content.end(), '\n'));
  return lines * metrics.height() * 7 / 5 + 2 * kHitTarget;
}

MessagePlace TranscriptView::placeOf(Id id) const {
  const std::vector<Id> siblings = m_session.tree().siblings(id);
  MessagePlace place;
  place.siblings = static_cast<int>(siblings.size());
  place.sibling =
      static_cast<int>(std::find(siblings.begin(), siblings.end(), id) - siblings.begin());
  place.canAct = m_session.canAct();
  return place;
}

void TranscriptView::updatePlaces() {
  for (Item& item : m_items) {
    if (item.view != nullptr) item.view->setPlace(placeOf(item.id));
  }
}

void TranscriptView::ensureView(Item& item) {
  if (item.view != nullptr) return;
  const Message* message = m_session.tree().find(item.id);
  auto* view = new MessageView(*message, placeOf(item.id), viewport());
  connect(view, &MessageView::heightChanged, this, &TranscriptView::arrangeLater);
  connect(view, &MessageView::linkActivated, this, &TranscriptView::linkActivated);
  connect(view, &MessageView::copyAsked, this, [this](qint64 id) {
    if (const Message* shown = m_session.tree().find(id)) {
      QGuiApplication::clipboard()->setText(QString::fromStdString(shown->content));
    }
  });
  connect(view, &MessageView::regenerateAsked, &m_session, &ChatSession::regenerate);
  connect(view, &MessageView::continueAsked, &m_session, &ChatSession::continueAnswer);
  connect(view, &MessageView::reproduceAsked, &m_session, &ChatSession::reproduce);
  // An edit replaces the very view that asks for it.
  connect(view, &MessageView::editAsked, &m_session, &ChatSession::edit, Qt::QueuedConnection);
  connect(view, &MessageView::siblingAsked, &m_session, &ChatSession::showSibling,
          Qt::QueuedConnection);
  item.view = view;
}

void TranscriptView::dropView(Item& item) {
  if (item.view == nullptr) return;
  item.view->hide();
  item.view->deleteLater();
  item.view = nullptr;
}

void TranscriptView::rebuild() {
  const MessageTree& tree = m_session.tree();
  std::vector<Item> items;
  for (const Id id : tree.branch()) {
    const int known = indexOf(id);
    Item item;
    item.id = id;
    if (known >= 0) std::swap(item, m_items[static_cast<std::size_t>(known)]);
    items.push_back(item);
  }
  for (Item& item : m_items) dropView(item);
  m_items = std::move(items);
  updatePlaces();
  arrange();
}

void TranscriptView::append(Id id) {
  Item item;
  item.id = id;
  m_items.push_back(item);
  // Who sends wants to see the answer.
  m_following = true;
  updatePlaces();
  arrange();
}

void TranscriptView::arrangeLater() {
  if (m_arranging || m_pending) return;
  m_pending = true;
  QMetaObject::invokeMethod(
      this,
      [this] {
        m_pending = false;
        arrange();
      },
      Qt::QueuedConnection);
}

void TranscriptView::arrange() {
  if (m_arranging) return;
  m_arranging = true;
  const int width = columnWidth();
  const int view = viewport()->height();
  if (width != m_width) {
    m_width = width;
    for (Item& item : m_items) item.measured = false;
  }
  for (Item& item : m_items) {
    if (!item.measured && item.view == nullptr) item.height = estimate(item.id);
  }
  m_anchor = std::clamp(m_anchor, 0, std::max(0, static_cast<int>(m_items.size()) - 1));
  int scroll = 0;
  int total = 0;
  for (int pass = 0; pass < kPasses; ++pass) {
    total = topOf(static_cast<int>(m_items.size())) + space::kS;
    scroll = m_following || m_items.empty() ? total - view : topOf(m_anchor) + m_anchorOffset;
    scroll = std::clamp(scroll, 0, std::max(0, total - view));
    bool changed = false;
    int top = space::kXl;
    for (Item& item : m_items) {
      const bool near = top + item.height > scroll - view / 2 && top < scroll + view + view / 2;
      if (near) {
        ensureView(item);
        const int height = item.view->heightFor(width);
        changed = changed || height != item.height;
        item.height = height;
        item.measured = true;
      }
      top += item.height + kGap;
    }
    if (!changed && pass > 0) break;
  }
  QScrollBar* bar = verticalScrollBar();
  bar->setRange(0, std::max(0, total - view));
  bar->setPageStep(view);
  bar->setSingleStep(3 * fontMetrics().lineSpacing());
  bar->setValue(scroll);
  const int left = (viewport()->width() - width) / 2;
  int top = space::kXl - scroll;
  for (Item& item : m_items) {
    if (item.view != nullptr) {
      const bool far = top + item.height < -2 * view || top > 3 * view;
      if (far && !item.view->holdsFocus() && !item.view->isEditing()) {
        dropView(item);
      } else {
        item.view->setGeometry(left - MessageView::kSideMargin, top,
                               width + 2 * MessageView::kSideMargin, item.height);
        item.view->show();
      }
    }
    top += item.height + kGap;
  }
  rememberAnchor();
  m_arranging = false;
}

void TranscriptView::rememberAnchor() {
  const int scroll = verticalScrollBar()->value();
  int top = space::kXl;
  for (std::size_t i = 0; i < m_items.size(); ++i) {
    const int bottom = top + m_items[i].height + kGap;
    if (bottom > scroll || i + 1 == m_items.size()) {
      m_anchor = static_cast<int>(i);
      m_anchorOffset = scroll - top;
      return;
    }
    top = bottom;
  }
}

void TranscriptView::resizeEvent(QResizeEvent*) {
  arrange();
}

void TranscriptView::scrollContentsBy(int, int) {
  if (m_arranging) return;
  m_following = verticalScrollBar()->value() >= verticalScrollBar()->maximum();
  rememberAnchor();
  arrange();
}

void TranscriptView::scrollToEnd() {
  m_following = true;
  arrange();
}

void TranscriptView::scrollToMessage(Id id) {
  const int index = indexOf(id);
  if (index < 0) return;
  m_following = false;
  m_anchor = index;
  m_anchorOffset = -space::kL;
  arrange();
  if (MessageView* view = viewOf(id)) view->body().setFocus();
}

bool TranscriptView::editLastQuestion() {
  for (auto item = m_items.rbegin(); item != m_items.rend(); ++item) {
    const Message* message = m_session.tree().find(item->id);
    if (message == nullptr || message->role != profile::Role::kUser) continue;
    scrollToMessage(item->id);
    if (MessageView* view = viewOf(message->id)) view->startEdit();
    return true;
  }
  return false;
}

void TranscriptView::focusNeighbour(int step) {
  if (m_items.empty()) return;
  int current = step > 0 ? -1 : static_cast<int>(m_items.size());
  for (std::size_t i = 0; i < m_items.size(); ++i) {
    if (m_items[i].view != nullptr && m_items[i].view->holdsFocus()) current = static_cast<int>(i);
  }
  const int last = static_cast<int>(m_items.size()) - 1;
  scrollToMessage(m_items[static_cast<std::size_t>(std::clamp(current + step, 0, last))].id);
}

void TranscriptView::keyPressEvent(QKeyEvent* event) {
  QScrollBar* bar = verticalScrollBar();
  switch (event->key()) {
    case Qt::Key_Up:
      bar->triggerAction(QAbstractSlider::SliderSingleStepSub);
      return;
    case Qt::Key_Down:
      bar->triggerAction(QAbstractSlider::SliderSingleStepAdd);
      return;
    case Qt::Key_PageUp:
      bar->triggerAction(QAbstractSlider::SliderPageStepSub);
      return;
    case Qt::Key_Space:
    case Qt::Key_PageDown:
      bar->triggerAction(QAbstractSlider::SliderPageStepAdd);
      return;
    case Qt::Key_Home:
      bar->setValue(0);
      return;
    case Qt::Key_End:
      scrollToEnd();
      return;
    default:
      break;
  }
  QAbstractScrollArea::keyPressEvent(event);
}

}  // namespace haq::ui
