// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QString>
#include <optional>

/// What one line of Markdown is at the top level, by the rules of CommonMark 0.30 and of GitHub's
/// tables. Only what is needed to find where a block ends; inline syntax is the parser's.
namespace haq::ui::markdown {

bool isBlank(QStringView line);
/// Columns of leading white space; a tab reaches the next multiple of 4.
int indentOf(QStringView line);

struct Fence {
  QChar mark;        ///< ` or ~
  qsizetype length;  ///< at least 3
  int indent;        ///< 0..3, removed from the lines inside
  QString language;  ///< first word of the info string, lower case
};
/// An opening fence of any indentation.
std::optional<Fence> openingFence(QStringView line);
bool closes(const Fence& fence, QStringView line);

bool isHeading(QStringView line);  ///< # to ######
bool isRule(QStringView line);     ///< ***, ---, ___ and their spaced forms
bool isQuote(QStringView line);
bool isSetextUnderline(QStringView line);
bool isTableDelimiter(QStringView line);  ///< | --- | :-: |

struct ListMarker {
  int indent;         ///< columns before the marker
  int contentIndent;  ///< columns at which the item's content begins
  bool ordered;
  bool interrupts;  ///< may end a paragraph: a bullet, or number 1, with text behind it
};
std::optional<ListMarker> listMarker(QStringView line);

}  // namespace haq::ui::markdown
