// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QString>
#include <optional>
#include <vector>

#include "ui/models/markdown_lines.h"

namespace haq::ui {

/// A part of a Markdown text that can be drawn by itself, behind those before it.
struct MarkdownPiece {
  enum class Kind { kMarkdown, kCode };
  Kind kind = Kind::kMarkdown;
  QString text;  ///< Markdown, or lines of code without the fence and without a last newline
  QString language = {};  ///< kCode: lower case, may be empty
  bool opens = false;   ///< kCode: begins a new code block, rather than going on with the last one
  bool joined = false;  ///< kMarkdown: goes on with the paragraph of the piece before
};

/// Cuts Markdown that streams in into pieces that are final and a tail that may still change, so
/// that only the tail is drawn anew. A piece is a top-level block; code in a fence comes line by
/// line, a list item by item, a long table in parts that repeat the header, a very long paragraph
/// in parts that end with a sentence. The pieces depend on the text alone, never on how it was fed.
/// Link reference definitions reach no further than their own piece.
class MarkdownStream {
 public:
  /// Adds text; returns the pieces that became final.
  std::vector<MarkdownPiece> feed(QStringView text);
  /// What follows the final pieces now; empty when there is nothing.
  std::optional<MarkdownPiece> tail() const;
  /// Ends the text: the tail becomes final.
  std::vector<MarkdownPiece> finish();

 private:
  enum class Block { kNone, kParagraph, kList, kQuote, kTable, kIndentedCode };

  void takeLine(const QString& line);
  void takeInFence(const QString& line);
  bool endsPending(QStringView line) const;
  bool endsList(QStringView line) const;
  void begin(const QString& line);
  void append(const QString& line);
  void commit();
  void cutParagraph();
  bool isBareHead() const;
  bool isParagraphText(QStringView partial) const;

  std::vector<MarkdownPiece> m_ready;
  QString m_pending;  ///< whole lines of the block that is open
  QString m_partial;  ///< the line that is still being written
  Block m_block = Block::kNone;
  int m_lines = 0;                          ///< in m_pending
  int m_contentIndent = 0;                  ///< kList: where the open item's content begins
  QString m_tableHead;                      ///< kTable: its first two lines
  bool m_again = false;                     ///< kTable: begun anew in the middle of a long one
  bool m_blank = false;                     ///< the last line was blank
  bool m_joined = false;                    ///< m_pending goes on with a paragraph
  bool m_started = false;                   ///< the open fence has given a piece
  std::optional<markdown::Fence> m_fence;   ///< open at the top level
  std::optional<markdown::Fence> m_nested;  ///< open inside a list item
};

}  // namespace haq::ui
