// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/models/code_highlighter.h"

#include <QHash>
#include <QRegularExpression>
#include <QSet>

namespace haq::ui {
namespace {

/// States: 0 is plain code; the others name what is open at the end of a line.
enum State {
  kCode = 0,
  kBlockComment = 1,
  kTripleDouble = 2,
  kTripleSingle = 3,
  kDoubleQuote = 4,
  kSingleQuote = 5
};

struct Rules {
  QRegularExpression token;  ///< alternatives; the capture group that matched names the kind
  QSet<QString> keywords;
  bool blockComments = false;
  bool tripleQuotes = false;
  bool openQuotes = false;  ///< a quote may stay open at the end of the line
};

QSet<QString> words(const char* list) {
  const QStringList parts = QString::fromLatin1(list).split(u' ', Qt::SkipEmptyParts);
  return {parts.begin(), parts.end()};
}

QRegularExpression compiled(const char* pattern) {
  QRegularExpression expression(QString::fromLatin1(pattern));
  expression.optimize();
  return expression;
}

// Groups: 1 comment to the end of the line, 2 opening of something long, 3 string, 4 number, 5
// word.
const Rules& rulesOf(CodeHighlighter::Family family) {
  static const Rules c{
      compiled(
          R"((//.*$|^\s*#\s*\w+)|(/\*)|("(?:\\.|[^"\\])*"?|'(?:\\.|[^'\\])*'?|`(?:\\.|[^`\\])*`?))"
          R"(|(\b(?:0[xX][0-9a-fA-F']+|\d[\d']*\.?\d*(?:[eE][+-]?\d+)?)\w*)|([A-Za-z_$][\w$]*))"),
      words("alignas alignof as async auto await bool break case catch char class const constexpr "
            "const_cast continue crate decltype default defer delete do double dyn else enum "
            "explicit export extends extern false final finally float fn for friend from func "
            "function go goto if impl implements import in inline instanceof int interface let "
            "long loop match mod module move mut mutable namespace new nil noexcept null nullptr "
            "operator override package private protected pub public range ref register return "
            "self short signed sizeof static static_cast struct super switch template this throw "
            "trait true try type typedef typename typeof undefined union unsafe unsigned use using "
            "val var virtual void volatile where while yield"),
      true};
  static const Rules python{
      compiled(
          R"((#.*$)|([rRbBfFuU]{0,2}(?:"""|'''))|([rRbBfFuU]{0,2}(?:"(?:\\.|[^"\\])*"?|'(?:\\.|[^'\\])*'?)))"
          R"(|(\b(?:0[xXbBoO][0-9a-fA-F_]+|\d[\d_]*\.?\d*(?:[eE][+-]?\d+)?)j?)|(@?[A-Za-z_]\w*))"),
      words(
          "False None True and as assert async await break case class continue def del elif else "
          "except finally for from global if import in is lambda match nonlocal not or pass raise "
          "return self try while with yield"),
      false, true};
  static const Rules shell{
      compiled(R"(((?:^|(?<=\s))#.*$)|(\z\A)|("(?:\\.|[^"\\])*"?|'[^']*'?))"
               R"(|(\b\d+\b)|(\$\{?[\w@#?*!-]+\}?|[A-Za-z_][\w-]*))"),
      words("case do done elif else esac export fi for function if in local return select set "
            "shift source then unset until while cd echo exit sudo apt pip git"),
      false, false, true};
  static const Rules json{
      compiled(
          R"((//.*$)|(/\*)|("(?:\\.|[^"\\])*"?)|(-?\b\d+\.?\d*(?:[eE][+-]?\d+)?)|([A-Za-z]+))"),
      words("true false null"), true};
  switch (family) {
    case CodeHighlighter::Family::kPython:
      return python;
    case CodeHighlighter::Family::kShell:
      return shell;
    case CodeHighlighter::Family::kJson:
      return json;
    default:
      return c;
  }
}

QString closerOf(int state) {
  switch (state) {
    case kBlockComment:
      return QStringLiteral("*/");
    case kTripleDouble:
      return QStringLiteral("\"\"\"");
    case kTripleSingle:
      return QStringLiteral("'''");
    case kDoubleQuote:
      return QStringLiteral("\"");
    default:
      return QStringLiteral("'");
  }
}

std::vector<CodeSpan> diffLine(QStringView text) {
  if (text.isEmpty()) return {};
  if (text.startsWith(u"+++") || text.startsWith(u"---") || text.startsWith(u"@@") ||
      text.startsWith(u"diff ") || text.startsWith(u"index ")) {
    return {{0, text.size(), CodeToken::kHeading}};
  }
  if (text[0] == u'+') return {{0, text.size(), CodeToken::kAdded}};
  if (text[0] == u'-') return {{0, text.size(), CodeToken::kRemoved}};
  return {};
}

/// A quote that the expression matched although it has no end on this line.
bool isOpen(QStringView quoted) {
  if (quoted.size() < 2 || quoted.back() != quoted.front()) return true;
  if (quoted.front() == u'\'') return false;
  qsizetype slashes = 0;
  while (slashes < quoted.size() - 2 && quoted[quoted.size() - 2 - slashes] == u'\\') ++slashes;
  return slashes % 2 == 1;
}

}  // namespace

CodeHighlighter::Family CodeHighlighter::familyOf(const QString& language) {
  static const QHash<QString, Family> families = [] {
    QHash<QString, Family> map;
    const auto put = [&map](const char* names, Family family) {
      for (const QString& name : words(names)) map.insert(name, family);
    };
    put("c c++ cpp cc cxx h hpp cuda cu java javascript js jsx typescript ts tsx rust rs go golang "
        "csharp cs c# kotlin kt swift scala php dart glsl",
        Family::kC);
    put("python py python3 pycon", Family::kPython);
    put("shell sh bash zsh console shell-session dockerfile makefile make", Family::kShell);
    put("json jsonc json5 jsonl", Family::kJson);
    put("diff patch", Family::kDiff);
    return map;
  }();
  return families.value(language, Family::kPlain);
}

std::vector<CodeSpan> CodeHighlighter::line(QStringView text, int& state) const {
  if (m_family == Family::kPlain) return {};
  if (m_family == Family::kDiff) return diffLine(text);
  const Rules& rules = rulesOf(m_family);
  std::vector<CodeSpan> spans;
  qsizetype at = 0;
  if (state != kCode) {
    const QString closer = closerOf(state);
    const qsizetype end = text.indexOf(closer);
    const CodeToken token = state == kBlockComment ? CodeToken::kComment : CodeToken::kString;
    if (end < 0) {
      if (!text.isEmpty()) spans.push_back({0, text.size(), token});
      return spans;
    }
    at = end + closer.size();
    spans.push_back({0, at, token});
    state = kCode;
  }
  const QString line = text.toString();
  while (at < line.size()) {
    const auto match = rules.token.match(line, at);
    if (!match.hasMatch() || match.capturedLength() == 0) break;
    const qsizetype start = match.capturedStart();
    const qsizetype length = match.capturedLength();
    at = start + length;
    switch (match.lastCapturedIndex()) {
      case 1:
        spans.push_back({start, length, CodeToken::kComment});
        if (m_family == Family::kC && !match.capturedView().contains(u'/')) {
          spans.back().token = CodeToken::kKeyword;  // a preprocessor directive
        }
        break;
      case 2: {
        const int opened = rules.blockComments                   ? kBlockComment
                           : match.capturedView().endsWith(u'"') ? kTripleDouble
                                                                 : kTripleSingle;
        const QString closer = closerOf(opened);
        const qsizetype end = line.indexOf(closer, at);
        at = end < 0 ? line.size() : end + closer.size();
        if (end < 0) state = opened;
        spans.push_back({start, at - start,
                         opened == kBlockComment ? CodeToken::kComment : CodeToken::kString});
        break;
      }
      case 3:
        spans.push_back({start, length, CodeToken::kString});
        if (rules.openQuotes && at == line.size() && isOpen(match.capturedView())) {
          state = match.capturedView().front() == u'"' ? kDoubleQuote : kSingleQuote;
        }
        break;
      case 4:
        spans.push_back({start, length, CodeToken::kNumber});
        break;
      default: {
        const QString word = match.captured();
        if (rules.keywords.contains(word) || word.startsWith(u'@')) {
          spans.push_back({start, length, CodeToken::kKeyword});
        } else if (word.startsWith(u'$') || (at < line.size() && line[at] == u'(')) {
          spans.push_back({start, length, CodeToken::kCall});
        }
      }
    }
  }
  return spans;
}

}  // namespace haq::ui
