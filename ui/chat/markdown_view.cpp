// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/chat/markdown_view.h"

#include <QAbstractTextDocumentLayout>
#include <QClipboard>
#include <QGuiApplication>
#include <QPainter>
#include <QScrollBar>
#include <QTextBlock>
#include <QTimer>
#include <QToolButton>
#include <QWheelEvent>
#include <cmath>

#include "ui/shared/style.h"
#include "ui/shared/widgets.h"

namespace haq::ui {
namespace {

constexpr int kCopiedMs = 1500;
constexpr int kQuoteBar = 2;

}  // namespace

MarkdownView::MarkdownView(QWidget* parent) : QTextBrowser(parent) {
  setFrameShape(QFrame::NoFrame);
  setHorizontalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
  setVerticalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
  setOpenLinks(false);
  setUndoRedoEnabled(false);
  setTextInteractionFlags(Qt::TextBrowserInteraction | Qt::TextSelectableByKeyboard);
  document()->setDocumentMargin(0);
  viewport()->setAutoFillBackground(false);
  // The widget is as tall as its text; whatever tries to scroll inside it is put back.
  connect(verticalScrollBar(), &QScrollBar::valueChanged, this,
          [this] { verticalScrollBar()->setValue(0); });
  connect(this, &QTextBrowser::anchorClicked, this, &MarkdownView::linkActivated);
  connect(&Theme::instance(), &Theme::changed, this, &MarkdownView::rebuild);
}

MarkdownView::~MarkdownView() = default;

QVariant MarkdownView::loadResource(int, const QUrl&) {
  return {};
}

void MarkdownView::setPlain(const QString& text) {
  m_plain = true;
  m_source = text;
  rebuild();
}

void MarkdownView::setMarkdown(const QString& text, bool finished) {
  m_plain = false;
  m_source = text;
  m_finished = finished;
  rebuild();
}

void MarkdownView::appendMarkdown(const QString& text) {
  m_source += text;
  if (m_stream == nullptr) {
    rebuild();
  } else {
    draw(m_stream->feed(text));
  }
}

void MarkdownView::finishMarkdown() {
  m_finished = true;
  if (m_stream != nullptr) draw(m_stream->finish());
}

void MarkdownView::rebuild() {
  QPalette colors = Theme::instance().palette();
  colors.setColor(QPalette::Base, Qt::transparent);
  setPalette(colors);
  m_stream.reset();
  for (const CodeBlock& block : m_codes) block.button->deleteLater();
  m_codes.clear();
  const MarkdownStyle style = MarkdownStyle::fromTheme();
  m_codeHead = style.codeHead;
  m_renderer = std::make_unique<MarkdownRenderer>(document(), style);
  if (m_plain) {
    QTextCursor cursor(document());
    QTextBlockFormat block;
    block.setLineHeight(style.lineHeight, QTextBlockFormat::ProportionalHeight);
    cursor.setBlockFormat(block);
    QTextCharFormat format;
    format.setFont(style.body);
    format.setForeground(style.text);
    cursor.insertText(m_source, format);
    return;
  }
  m_stream = std::make_unique<MarkdownStream>();
  draw(m_stream->feed(m_source));
  if (m_finished) draw(m_stream->finish());
}

void MarkdownView::draw(const std::vector<MarkdownPiece>& pieces) {
  for (const MarkdownPiece& piece : pieces) m_renderer->append(piece);
  if (const auto tail = m_stream->tail()) {
    m_renderer->setTail(*tail);
  } else {
    m_renderer->clearTail();
  }
  m_codesDirty = true;
}

int MarkdownView::heightFor(int width) {
  // Setting a width lays the whole text out again, even when it is the same one.
  if (document()->textWidth() != width) {
    document()->setTextWidth(width);
    m_codesDirty = true;
  }
  measureCodes();
  double height = document()->size().height();
  const QTextBlock last = document()->lastBlock();
  if (last.blockFormat().hasProperty(block_property::kCode)) height += space::kS;
  return static_cast<int>(std::ceil(height));
}

int MarkdownView::naturalWidth(int limit) {
  if (document()->textWidth() != limit) document()->setTextWidth(limit);
  return std::min(limit, static_cast<int>(std::ceil(document()->idealWidth())) + 1);
}

void MarkdownView::measureCodes() {
  if (!m_codesDirty || m_renderer == nullptr) return;
  m_codesDirty = false;
  std::size_t count = 0;
  const QAbstractTextDocumentLayout* layout = document()->documentLayout();
  if (m_renderer->codeCount() == 0 && m_codes.empty()) return;
  for (QTextBlock block = document()->begin(); block.isValid(); block = block.next()) {
    const int number = block.blockFormat().intProperty(block_property::kCode);
    if (number == 0) continue;
    const QRectF rect = layout->blockBoundingRect(block);
    if (count > 0 && m_codes[count - 1].number == number) {
      m_codes[count - 1].well.setBottom(rect.bottom() + space::kS);
      continue;
    }
    if (count == m_codes.size()) {
      CodeBlock fresh;
      fresh.button = iconButton(Icon::kCopy, tr("Copy code"), viewport());
      fresh.button->setAutoRaise(true);
      m_codes.push_back(fresh);
    }
    CodeBlock& code = m_codes[count++];
    if (code.number != number) {
      code.number = number;
      code.button->disconnect(this);
      connect(code.button, &QToolButton::clicked, this, [this, number, button = code.button] {
        QGuiApplication::clipboard()->setText(m_renderer->code(number));
        button->setIcon(icon(Icon::kCheck));
        QTimer::singleShot(kCopiedMs, button, [button] { button->setIcon(icon(Icon::kCopy)); });
      });
    }
    code.language = block.blockFormat().stringProperty(block_property::kLanguage);
    const double left = block.blockFormat().leftMargin() - space::kM;
    code.well = QRectF(left, rect.top() - m_codeHead, document()->textWidth() - left,
                       rect.height() + m_codeHead + space::kS);
  }
  while (m_codes.size() > count) {
    m_codes.back().button->deleteLater();
    m_codes.pop_back();
  }
  for (const CodeBlock& code : m_codes) {
    const int side = kHitTarget + space::kXs;
    code.button->setGeometry(static_cast<int>(code.well.right()) - side - space::kXs,
                             static_cast<int>(code.well.top()), side, side);
    code.button->show();
  }
}

void MarkdownView::resizeEvent(QResizeEvent* event) {
  // QTextEdit lays everything out again on every resize; only a new width calls for that.
  if (event->oldSize().width() != event->size().width()) {
    QTextBrowser::resizeEvent(event);
    m_codesDirty = true;
    measureCodes();
  } else {
    QAbstractScrollArea::resizeEvent(event);
  }
}

void MarkdownView::wheelEvent(QWheelEvent* event) {
  event->ignore();
}

void MarkdownView::keyPressEvent(QKeyEvent* event) {
  // Moving keys scroll the transcript unless a selection is being made with Shift.
  switch (event->key()) {
    case Qt::Key_Up:
    case Qt::Key_Down:
    case Qt::Key_PageUp:
    case Qt::Key_PageDown:
    case Qt::Key_Home:
    case Qt::Key_End:
    case Qt::Key_Space:
      if (!(event->modifiers() & Qt::ShiftModifier)) {
        event->ignore();
        return;
      }
      break;
    default:
      break;
  }
  QTextBrowser::keyPressEvent(event);
}

void MarkdownView::paintEvent(QPaintEvent* event) {
  {
    QPainter painter(viewport());
    painter.setRenderHint(QPainter::Antialiasing);
    paintBlocks(painter, event->rect());
  }
  QTextBrowser::paintEvent(event);
}

void MarkdownView::paintBlocks(QPainter& painter, const QRectF& clip) const {
  const Theme& theme = Theme::instance();
  for (const CodeBlock& code : m_codes) {
    if (!code.well.intersects(clip)) continue;
    paintPanel(painter, code.well, theme.color(Role::kSunken), theme.hairline(Role::kSunken),
               kRadius);
    painter.setFont(theme.font(FontRole::kSmall));
    painter.setPen(theme.color(Role::kMuted));
    painter.drawText(QRectF(code.well.left() + space::kM, code.well.top(),
                            code.well.width() - 2 * space::kXl, m_codeHead),
                     Qt::AlignVCenter | Qt::AlignLeft,
                     code.language.isEmpty() ? tr("code") : code.language);
  }
  if (m_plain) return;
  const QAbstractTextDocumentLayout* layout = document()->documentLayout();
  QTextBlock block = cursorForPosition(clip.topLeft().toPoint()).block();
  if (block.previous().isValid()) block = block.previous();
  for (; block.isValid(); block = block.next()) {
    const QTextBlockFormat format = block.blockFormat();
    const bool quote = format.hasProperty(block_property::kQuote);
    const bool marker = format.hasProperty(block_property::kMarker);
    const bool rule = format.hasProperty(block_property::kRule);
    if (!quote && !marker && !rule) {
      if (layout->blockBoundingRect(block).top() > clip.bottom()) return;
      continue;
    }
    const QRectF rect = layout->blockBoundingRect(block);
    if (rect.top() > clip.bottom()) return;
    if (rule) {
      const double y = std::floor(rect.center().y());
      painter.fillRect(QRectF(0, y, document()->textWidth(), kHairline), theme.hairline());
    }
    if (quote) {
      // The bar also covers the gap to the next paragraph of the same quotation.
      const QTextBlock next = block.next();
      const bool goesOn = next.isValid() && next.blockFormat().hasProperty(block_property::kQuote);
      const double bottom = goesOn ? layout->blockBoundingRect(next).top() : rect.bottom();
      for (int depth = 0; depth < format.intProperty(block_property::kQuote); ++depth) {
        painter.fillRect(QRectF(depth * space::kL, rect.top(), kQuoteBar, bottom - rect.top()),
                         theme.hairline());
      }
    }
    if (marker && block.layout()->lineCount() > 0) {
      const QTextLine line = block.layout()->lineAt(0);
      const QPointF origin = block.layout()->position() + line.position();
      const QString text = format.stringProperty(block_property::kMarker);
      const QFont font = theme.font(FontRole::kBody);
      painter.setFont(font);
      painter.setPen(theme.color(Role::kMuted));
      const double width = QFontMetricsF(font).horizontalAdvance(text);
      painter.drawText(QPointF(origin.x() - width - space::kS + 1, origin.y() + line.ascent()),
                       text);
    }
  }
}

}  // namespace haq::ui
