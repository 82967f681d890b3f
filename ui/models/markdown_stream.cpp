// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/models/markdown_stream.h"

namespace haq::ui {
namespace {

using namespace markdown;

/// A paragraph longer than this is cut at the end of a sentence: laying out one paragraph again for
/// each token costs its whole length.
constexpr qsizetype kLongParagraph = 1500;
/// Beyond this one a construct that is left open no longer prevents the cut.
constexpr qsizetype kHugeParagraph = 4 * kLongParagraph;
/// Rows of one table before it is begun anew.
constexpr int kLongTable = 24;
/// So many characters of a line tell what kind of line it is (the longest list marker has 10).
constexpr qsizetype kTellingPrefix = 16;

/// First end of a sentence at or behind kLongParagraph, with every inline construct closed before
/// it and a letter behind it (which begins no other kind of block); the length of the first part,
/// or -1.
qsizetype sentenceEnd(QStringView text) {
  if (text.size() < kLongParagraph + 3) return -1;
  int stars = 0;
  int underscores = 0;
  int tildes = 0;
  int ticks = 0;
  int brackets = 0;
  for (qsizetype i = 0; i + 2 < text.size(); ++i) {
    switch (text[i].unicode()) {
      case u'*':
        ++stars;
        break;
      case u'_':
        ++underscores;
        break;
      case u'~':
        ++tildes;
        break;
      case u'`':
        ++ticks;
        break;
      case u'[':
        ++brackets;
        break;
      case u']':
        --brackets;
        break;
      case u'.':
      case u'!':
      case u'?':
        if (i >= kLongParagraph && text[i + 1].isSpace() && text[i + 2].isLetter() &&
            (i >= kHugeParagraph || (stars % 2 == 0 && underscores % 2 == 0 && tildes % 2 == 0 &&
                                     ticks % 2 == 0 && brackets == 0))) {
          return i + 1;
        }
        break;
      default:
        break;
    }
  }
  return -1;
}

QString withoutColumns(const QString& line, int columns) {
  qsizetype at = 0;
  while (at < line.size() && at < columns && line[at] == u' ') ++at;
  return line.mid(at);
}

}  // namespace

std::vector<MarkdownPiece> MarkdownStream::feed(QStringView text) {
  qsizetype from = 0;
  for (qsizetype end = text.indexOf(u'\n'); end >= 0; end = text.indexOf(u'\n', from)) {
    QString line = std::exchange(m_partial, {});
    line += text.mid(from, end - from);
    if (line.endsWith(u'\r')) line.chop(1);
    takeLine(line);
    from = end + 1;
  }
  m_partial += text.mid(from);
  if (!m_fence && isParagraphText(m_partial)) cutParagraph();
  return std::exchange(m_ready, {});
}

std::optional<MarkdownPiece> MarkdownStream::tail() const {
  if (m_fence) {
    // The closing fence, also while it is being written, is no code.
    const QString start = m_partial.trimmed();
    if (start.count(m_fence->mark) == start.size()) return std::nullopt;
    return MarkdownPiece{MarkdownPiece::Kind::kCode, withoutColumns(m_partial, m_fence->indent),
                         m_fence->language, !m_started, false};
  }
  if (m_partial.isEmpty() && (m_pending.isEmpty() || isBareHead())) return std::nullopt;
  return MarkdownPiece{MarkdownPiece::Kind::kMarkdown, m_pending + m_partial, {}, false, m_joined};
}

std::vector<MarkdownPiece> MarkdownStream::finish() {
  if (!m_partial.isEmpty()) takeLine(std::exchange(m_partial, {}));
  m_fence.reset();
  commit();
  return std::exchange(m_ready, {});
}

void MarkdownStream::takeLine(const QString& line) {
  if (m_fence) {
    takeInFence(line);
    return;
  }
  if (isBlank(line)) {
    if (m_block != Block::kNone) append(line);
    m_blank = true;
    return;
  }
  if (m_block != Block::kNone && endsPending(line)) commit();
  if (m_block == Block::kNone) {
    begin(line);
  } else {
    append(line);
  }
  m_blank = false;
}

void MarkdownStream::takeInFence(const QString& line) {
  const bool closed = closes(*m_fence, line);
  if (!closed || !m_started) {
    m_ready.push_back({MarkdownPiece::Kind::kCode,
                       closed ? QString() : withoutColumns(line, m_fence->indent),
                       m_fence->language, !m_started, false});
    m_started = true;
  }
  if (closed) m_fence.reset();
}

bool MarkdownStream::endsList(QStringView line) const {
  const int indent = indentOf(line);
  if (indent >= m_contentIndent) return false;
  if (m_blank) return true;
  if (listMarker(line)) return true;
  // Otherwise a lazy continuation of the item's paragraph, unless another block begins.
  return isHeading(line) || isRule(line) || isQuote(line) || openingFence(line).has_value();
}

bool MarkdownStream::endsPending(QStringView line) const {
  if (m_block == Block::kList) {
    if (m_nested && indentOf(line) >= m_contentIndent) return false;
    return endsList(line);
  }
  const int indent = indentOf(line);
  if (m_block == Block::kIndentedCode) return indent < 4;
  if (m_blank) return true;
  if (indent > 3) return false;
  if (m_block == Block::kParagraph && isSetextUnderline(line)) return false;
  if (m_block == Block::kQuote && isQuote(line)) return false;
  if (isHeading(line) || isQuote(line) || isRule(line) || openingFence(line)) return true;
  const auto marker = listMarker(line);
  return marker && marker->interrupts;
}

void MarkdownStream::begin(const QString& line) {
  const int indent = indentOf(line);
  if (indent > 3) {
    m_block = Block::kIndentedCode;
  } else if (const auto fence = openingFence(line)) {
    m_fence = fence;
    m_started = false;
    return;
  } else if (isHeading(line) || isRule(line)) {
    m_ready.push_back({MarkdownPiece::Kind::kMarkdown, line + u'\n', {}, false, false});
    return;
  } else if (const auto marker = listMarker(line)) {
    m_block = Block::kList;
    m_contentIndent = marker->contentIndent;
    m_nested.reset();
    if (marker->contentIndent <= line.size()) {
      m_nested = openingFence(QStringView(line).mid(marker->contentIndent));
    }
  } else {
    m_block = isQuote(line) ? Block::kQuote : Block::kParagraph;
  }
  append(line);
}

void MarkdownStream::append(const QString& line) {
  if (m_block == Block::kList && m_lines > 0 && !isBlank(line)) {
    if (m_nested) {
      if (closes(*m_nested, QStringView(line).trimmed())) m_nested.reset();
    } else {
      m_nested = openingFence(line);
    }
  }
  m_pending += line;
  m_pending += u'\n';
  ++m_lines;
  if (m_block == Block::kParagraph) {
    if (m_lines == 2 && m_pending.contains(u'|') && isTableDelimiter(line)) {
      m_block = Block::kTable;
      m_tableHead = m_pending;
    } else {
      cutParagraph();
    }
  } else if (m_block == Block::kTable && m_lines >= kLongTable + 2 && !isBlank(line)) {
    const QString head = m_tableHead;
    commit();
    m_block = Block::kTable;
    m_tableHead = head;
    m_pending = head;
    m_lines = 2;
    m_again = true;
  }
}

void MarkdownStream::commit() {
  if (!m_pending.isEmpty() && !isBareHead()) {
    m_ready.push_back({MarkdownPiece::Kind::kMarkdown, m_pending, {}, false, m_joined});
  }
  m_pending.clear();
  m_lines = 0;
  m_block = Block::kNone;
  m_joined = false;
  m_again = false;
  m_nested.reset();
  m_tableHead.clear();
}

bool MarkdownStream::isBareHead() const {
  return m_block == Block::kTable && m_again && m_lines == 2;
}

bool MarkdownStream::isParagraphText(QStringView partial) const {
  if (m_block != Block::kNone && m_block != Block::kParagraph) return false;
  if (partial.size() < kTellingPrefix || indentOf(partial) > 3) return false;
  if (isHeading(partial) || isQuote(partial) || isRule(partial) || openingFence(partial)) {
    return false;
  }
  const auto marker = listMarker(partial);
  if (m_block == Block::kNone) return !marker;
  return !m_blank && !(marker && marker->interrupts);
}

void MarkdownStream::cutParagraph() {
  // Either the whole lines, or also the line being written; what is left stays where it came from.
  for (;;) {
    const QString text = m_pending + m_partial;
    const qsizetype length = sentenceEnd(text);
    if (length < 0) return;
    m_ready.push_back({MarkdownPiece::Kind::kMarkdown, text.left(length), {}, false, m_joined});
    m_joined = true;
    const qsizetype skip = length + 1;  // the white space between the sentences
    if (skip <= m_pending.size()) {
      m_pending.remove(0, skip);
    } else {
      m_partial.remove(0, skip - m_pending.size());
      m_pending.clear();
    }
    m_lines = m_pending.isEmpty() ? 0 : static_cast<int>(m_pending.count(u'\n'));
    m_block = m_pending.isEmpty() ? Block::kNone : Block::kParagraph;
  }
}

}  // namespace haq::ui
