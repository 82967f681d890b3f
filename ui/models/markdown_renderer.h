// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QColor>
#include <QFont>
#include <QTextCursor>
#include <QTextDocument>
#include <vector>

#include "ui/models/code_highlighter.h"
#include "ui/models/markdown_stream.h"

namespace haq::ui {

/// Fonts and colours of drawn Markdown.
struct MarkdownStyle {
  QFont body, mono, heading;
  QColor text, muted, accent, well, hairline;
  QColor keyword, string, number, call, added, removed;
  double lineHeight = 140;  ///< per cent
  int codeHead = 28;        ///< height of a code block's head: language and copy button
  static MarkdownStyle fromTheme();
};

/// Properties that the renderer leaves on blocks, for the view that paints around them.
namespace block_property {
inline constexpr int kCode = QTextFormat::UserProperty + 1;  ///< number of the code block, from 1
inline constexpr int kLanguage = QTextFormat::UserProperty + 2;  ///< string, may be empty
inline constexpr int kQuote = QTextFormat::UserProperty + 3;     ///< depth of quotation
inline constexpr int kMarker = QTextFormat::UserProperty + 4;    ///< text of a list item's marker
inline constexpr int kRule = QTextFormat::UserProperty + 5;      ///< a horizontal rule
}  // namespace block_property

/// Draws Markdown into a QTextDocument, piece after piece, and a tail that is replaced each time.
/// Parsing is md4c's (GitHub dialect without raw HTML). Nothing is ever loaded: an image becomes
/// its description. Colours are fixed when drawn: draw again after a change of theme.
class MarkdownRenderer {
 public:
  /// The document is emptied; it must outlive the renderer and be changed by nobody else.
  MarkdownRenderer(QTextDocument* document, MarkdownStyle style);

  void append(const MarkdownPiece& piece);  ///< behind the final pieces; removes the tail
  void setTail(const MarkdownPiece& piece);
  void clearTail();
  /// Source of a code block, by its number.
  QString code(int number) const;
  int codeCount() const { return m_code.number; }

 private:
  struct Parser;
  friend struct Parser;

  void removeTail();
  void beginBlock(const QTextBlockFormat& format, const QTextCharFormat& chars);
  void render(const MarkdownPiece& piece);
  void renderMarkdown(const MarkdownPiece& piece);
  void renderCode(const MarkdownPiece& piece);
  void beginCode(const QString& language);
  void codeLine(const QString& line, double leftMargin);
  QTextCharFormat charFormat() const;
  QTextBlockFormat blockFormat() const;

  QTextDocument* m_document;
  MarkdownStyle m_style;
  QTextCursor m_cursor;
  bool m_fresh = true;   ///< the cursor stands in an empty block that has not been used yet
  int m_tailStart = -1;  ///< position of the tail's first block, -1: there is no tail
  struct CodeState {
    int number = 0;  ///< of the last code block
    int highlighter = 0;
    bool first = true;  ///< its first line is still to come
    CodeHighlighter::Family family = CodeHighlighter::Family::kPlain;
    QString language;
  };
  CodeState m_code;
  CodeState m_codeBeforeTail;
};

}  // namespace haq::ui
