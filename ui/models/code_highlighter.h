// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QString>
#include <vector>

namespace haq::ui {

enum class CodeToken { kKeyword, kString, kNumber, kComment, kCall, kAdded, kRemoved, kHeading };

struct CodeSpan {
  qsizetype start = 0;
  qsizetype length = 0;
  CodeToken token = CodeToken::kKeyword;
};

/// Colours code line by line. Comments and strings that go over several lines are carried in a
/// state, so that each line is looked at once, however long the code grows.
class CodeHighlighter {
 public:
  /// Families of languages that are told apart; kPlain colours nothing.
  enum class Family { kPlain, kC, kPython, kShell, kJson, kDiff };

  /// By the word behind the fence, lower case ("c++", "py", "bash", "jsonc"); kPlain when unknown.
  static Family familyOf(const QString& language);

  explicit CodeHighlighter(Family family) : m_family(family) {}

  /// Spans of one line, in order, not overlapping. Starts with state 0 and keeps it from line to
  /// line.
  std::vector<CodeSpan> line(QStringView text, int& state) const;

 private:
  Family m_family;
};

}  // namespace haq::ui
