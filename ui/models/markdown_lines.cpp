// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/models/markdown_lines.h"

#include <algorithm>

namespace haq::ui::markdown {
namespace {

QStringView withoutIndent(QStringView line) {
  qsizetype at = 0;
  while (at < line.size() && (line[at] == u' ' || line[at] == u'\t')) ++at;
  return line.mid(at);
}

/// Length of the run of `mark` at the start.
qsizetype run(QStringView text, QChar mark) {
  qsizetype length = 0;
  while (length < text.size() && text[length] == mark) ++length;
  return length;
}

}  // namespace

bool isBlank(QStringView line) {
  return withoutIndent(line).isEmpty();
}

int indentOf(QStringView line) {
  int column = 0;
  for (const QChar c : line) {
    if (c == u' ') {
      ++column;
    } else if (c == u'\t') {
      column += 4 - column % 4;
    } else {
      break;
    }
  }
  return column;
}

std::optional<Fence> openingFence(QStringView line) {
  const QStringView text = withoutIndent(line);
  if (text.isEmpty() || (text[0] != u'`' && text[0] != u'~')) return std::nullopt;
  const qsizetype length = run(text, text[0]);
  const QStringView info = text.mid(length).trimmed();
  // An info string behind backticks holds none: it would be inline code.
  if (length < 3 || (text[0] == u'`' && info.contains(u'`'))) return std::nullopt;
  const auto end = std::find_if(info.begin(), info.end(),
                                [](QChar c) { return c.isSpace() || c == u'{' || c == u','; });
  return Fence{text[0], length, indentOf(line), info.left(end - info.begin()).toString().toLower()};
}

bool closes(const Fence& fence, QStringView line) {
  if (indentOf(line) > 3) return false;
  const QStringView text = line.trimmed();
  const qsizetype length = run(text, fence.mark);
  return length >= fence.length && length == text.size();
}

bool isHeading(QStringView line) {
  if (indentOf(line) > 3) return false;
  const QStringView text = withoutIndent(line);
  const qsizetype length = run(text, u'#');
  return length >= 1 && length <= 6 && (length == text.size() || text[length].isSpace());
}

bool isRule(QStringView line) {
  if (indentOf(line) > 3) return false;
  const QStringView text = line.trimmed();
  if (text.isEmpty() || (text[0] != u'*' && text[0] != u'-' && text[0] != u'_')) return false;
  int marks = 0;
  for (const QChar c : text) {
    if (c == text[0]) {
      ++marks;
    } else if (c != u' ' && c != u'\t') {
      return false;
    }
  }
  return marks >= 3;
}

bool isQuote(QStringView line) {
  return indentOf(line) <= 3 && withoutIndent(line).startsWith(u'>');
}

bool isSetextUnderline(QStringView line) {
  if (indentOf(line) > 3) return false;
  const QStringView text = line.trimmed();
  return !text.isEmpty() && (text[0] == u'=' || text[0] == u'-') &&
         run(text, text[0]) == text.size();
}

bool isTableDelimiter(QStringView line) {
  if (indentOf(line) > 3) return false;
  const QStringView text = line.trimmed();
  if (!text.contains(u'-')) return false;
  return std::all_of(text.begin(), text.end(),
                     [](QChar c) {
                       return c == u'-' || c == u':' || c == u'|' || c == u' ' || c == u'\t';
                     }) &&
         (text.contains(u'|') || text.contains(u':'));
}

std::optional<ListMarker> listMarker(QStringView line) {
  const int indent = indentOf(line);
  const QStringView text = withoutIndent(line);
  if (text.isEmpty() || isRule(line)) return std::nullopt;
  qsizetype width = 0;
  bool ordered = false;
  bool first = true;
  if (text[0] == u'-' || text[0] == u'*' || text[0] == u'+') {
    width = 1;
  } else {
    while (width < text.size() && width < 9 && text[width] >= u'0' && text[width] <= u'9') ++width;
    if (width == 0 || width >= text.size() || (text[width] != u'.' && text[width] != u')')) {
      return std::nullopt;
    }
    first = text.left(width) == u"1";
    ordered = true;
    ++width;
  }
  const QStringView rest = text.mid(width);
  if (!rest.isEmpty() && rest[0] != u' ' && rest[0] != u'\t') return std::nullopt;
  const bool empty = rest.trimmed().isEmpty();
  // More than four columns behind the marker are the item's indented code.
  const int gap = empty ? 1 : indentOf(rest);
  return ListMarker{indent, indent + static_cast<int>(width) + (gap > 4 ? 1 : gap), ordered,
                    first && !empty};
}

}  // namespace haq::ui::markdown
