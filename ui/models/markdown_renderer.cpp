// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/models/markdown_renderer.h"

#include <QFontMetrics>
#include <QTextBlock>
#include <algorithm>

#include "ui/models/markdown_parser.h"
#include "ui/shared/theme.h"

namespace haq::ui {

MarkdownStyle MarkdownStyle::fromTheme() {
  const Theme& theme = Theme::instance();
  MarkdownStyle style;
  style.body = theme.font(FontRole::kBody);
  style.mono = theme.font(FontRole::kMono);
  style.heading = theme.font(FontRole::kHeading);
  style.codeHead =
      std::max(kHitTarget, QFontMetrics(theme.font(FontRole::kSmall)).height()) + space::kXs;
  style.text = theme.color(Role::kText);
  style.muted = theme.color(Role::kMuted);
  style.accent = theme.color(Role::kAccent);
  style.well = theme.color(Role::kSunken);
  style.hairline = theme.hairline();
  style.keyword = theme.color(Role::kAccent);
  style.string = theme.color(Role::kHit);
  style.number = theme.color(Role::kPlanByHand);
  style.call = theme.color(Role::kLink);
  style.added = theme.color(Role::kHit);
  style.removed = theme.color(Role::kMiss);
  return style;
}

MarkdownRenderer::MarkdownRenderer(QTextDocument* document, MarkdownStyle style)
    : m_document(document), m_style(std::move(style)) {
  m_document->setUndoRedoEnabled(false);
  m_document->clear();
  m_document->setDocumentMargin(0);
  m_document->setDefaultFont(m_style.body);
  QTextOption option = m_document->defaultTextOption();
  option.setWrapMode(QTextOption::WrapAtWordBoundaryOrAnywhere);
  m_document->setDefaultTextOption(option);
  m_cursor = QTextCursor(m_document);
}

QTextCharFormat MarkdownRenderer::charFormat() const {
  QTextCharFormat format;
  format.setFont(m_style.body);
  format.setForeground(m_style.text);
  return format;
}

QTextBlockFormat MarkdownRenderer::blockFormat() const {
  QTextBlockFormat format;
  format.setLineHeight(m_style.lineHeight, QTextBlockFormat::ProportionalHeight);
  return format;
}

void MarkdownRenderer::append(const MarkdownPiece& piece) {
  removeTail();
  render(piece);
}

void MarkdownRenderer::setTail(const MarkdownPiece& piece) {
  removeTail();
  if (!m_fresh) {
    m_cursor.insertBlock(QTextBlockFormat(), charFormat());
    m_fresh = true;
  }
  m_tailStart = m_cursor.position();
  m_codeBeforeTail = m_code;
  render(piece);
}

void MarkdownRenderer::clearTail() {
  removeTail();
  const QTextBlock block = m_cursor.block();
  if (!m_fresh || block.length() > 1 || !block.previous().isValid()) return;
  // Behind a table an empty block must stay.
  if (block.previous().blockFormat().isValid() &&
      m_cursor.currentFrame() == m_document->rootFrame() &&
      QTextCursor(block.previous()).currentFrame() == m_document->rootFrame()) {
    m_cursor.deletePreviousChar();
    m_fresh = false;
  }
}

void MarkdownRenderer::removeTail() {
  if (m_tailStart < 0) return;
  m_cursor.setPosition(m_tailStart);
  m_cursor.movePosition(QTextCursor::End, QTextCursor::KeepAnchor);
  m_cursor.removeSelectedText();
  m_tailStart = -1;
  m_fresh = true;
  m_code = m_codeBeforeTail;
}

void MarkdownRenderer::beginBlock(const QTextBlockFormat& format, const QTextCharFormat& chars) {
  QTextBlockFormat actual = format;
  const QTextBlock before = m_fresh ? m_cursor.block().previous() : m_cursor.block();
  if (!before.isValid()) {
    actual.setTopMargin(format.hasProperty(block_property::kCode) ? m_style.codeHead : 0);
  } else if (const int code = before.blockFormat().intProperty(block_property::kCode);
             code != 0 && code != format.intProperty(block_property::kCode)) {
    // The well of a code block reaches below its last line.
    actual.setTopMargin(format.topMargin() + space::kM);
  }
  if (m_fresh) {
    m_cursor.setBlockFormat(actual);
    m_cursor.setBlockCharFormat(chars);
  } else {
    m_cursor.insertBlock(actual, chars);
  }
  m_fresh = false;
}

void MarkdownRenderer::render(const MarkdownPiece& piece) {
  m_cursor.beginEditBlock();
  if (piece.kind == MarkdownPiece::Kind::kCode) {
    renderCode(piece);
  } else {
    renderMarkdown(piece);
  }
  m_cursor.endEditBlock();
}

void MarkdownRenderer::renderMarkdown(const MarkdownPiece& piece) {
  const QTextBlock before = m_fresh ? m_cursor.block().previous() : m_cursor.block();
  Parser parser(*this);
  parser.loose = true;
  parser.parse(piece.text.toUtf8());
  if (!piece.joined || !before.isValid()) return;
  // The same paragraph goes on: no gap between its parts.
  QTextCursor part(before);
  QTextBlockFormat tight = before.blockFormat();
  tight.setBottomMargin(0);
  part.setBlockFormat(tight);
  part = QTextCursor(before.next());
  tight = before.next().blockFormat();
  tight.setTopMargin(0);
  part.setBlockFormat(tight);
}

void MarkdownRenderer::renderCode(const MarkdownPiece& piece) {
  if (piece.opens) beginCode(piece.language);
  for (const QString& line : piece.text.split(u'\n')) codeLine(line, 0);
}

void MarkdownRenderer::beginCode(const QString& language) {
  m_code = {m_code.number + 1, 0, true, CodeHighlighter::familyOf(language), language};
}

void MarkdownRenderer::codeLine(const QString& line, double leftMargin) {
  QTextBlockFormat format;
  format.setLineHeight(120, QTextBlockFormat::ProportionalHeight);
  format.setLeftMargin(leftMargin + space::kM);
  format.setRightMargin(space::kM);
  // Room for the head of the well (language, copy button) and the gap above it.
  if (m_code.first) format.setTopMargin(space::kM + m_style.codeHead);
  format.setProperty(block_property::kCode, m_code.number);
  format.setProperty(block_property::kLanguage, m_code.language);
  m_code.first = false;

  QTextCharFormat plain;
  plain.setFont(m_style.mono);
  plain.setForeground(m_style.text);
  beginBlock(format, plain);
  qsizetype at = 0;
  for (const CodeSpan& span : CodeHighlighter(m_code.family).line(line, m_code.highlighter)) {
    if (span.start > at) m_cursor.insertText(line.mid(at, span.start - at), plain);
    QTextCharFormat colored = plain;
    switch (span.token) {
      case CodeToken::kKeyword:
        colored.setForeground(m_style.keyword);
        break;
      case CodeToken::kString:
        colored.setForeground(m_style.string);
        break;
      case CodeToken::kNumber:
        colored.setForeground(m_style.number);
        break;
      case CodeToken::kComment:
        colored.setForeground(m_style.muted);
        colored.setFontItalic(true);
        break;
      case CodeToken::kCall:
        colored.setForeground(m_style.call);
        break;
      case CodeToken::kAdded:
        colored.setForeground(m_style.added);
        break;
      case CodeToken::kRemoved:
        colored.setForeground(m_style.removed);
        break;
      case CodeToken::kHeading:
        colored.setForeground(m_style.muted);
        colored.setFontWeight(QFont::DemiBold);
        break;
    }
    m_cursor.insertText(line.mid(span.start, span.length), colored);
    at = span.start + span.length;
  }
  if (at < line.size()) m_cursor.insertText(line.mid(at), plain);
}

QString MarkdownRenderer::code(int number) const {
  QStringList lines;
  for (QTextBlock block = m_document->begin(); block.isValid(); block = block.next()) {
    if (block.blockFormat().intProperty(block_property::kCode) == number)
      lines.append(block.text());
  }
  return lines.join(u'\n');
}

}  // namespace haq::ui
