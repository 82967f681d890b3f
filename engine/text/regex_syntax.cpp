// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/text/regex_syntax.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>
#include <vector>

#include "engine/base/error.h"
#include "engine/text/unicode.h"

namespace haq::text {
namespace {

// Members of classes, to stand between brackets. PCRE2's own \s contains U+180E, its \w lacks
// marks.
constexpr std::string_view kSpace =
    "\\t-\\r\\x20\\x{85}\\x{A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}"
    "\\x{3000}";
constexpr std::string_view kWord =
    "\\p{L}\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}\\x{24B6}-\\x{24E9}\\x{1F130}-\\x{1F149}\\x{1F150}-\\x{1F169}"
    "\\x{1F170}-\\x{1F189}";
constexpr std::string_view kHex = "0-9A-Fa-f";

constexpr int kMaxClassDepth = 16;

class Translator {
 public:
  Translator(std::string_view pattern, std::string_view what) : in_(pattern), what_(what) {}

  std::string run() {
    std::string out;
    while (pos_ < in_.size()) {
      switch (in_[pos_]) {
        case '\\':
          out += escape();
          break;
        case '[':
          ++pos_;
          out += char_class(0);
          break;
        case '(':
          out += group();
          break;
        case '{':
          out += interval();
          break;
        default:
          out += in_[pos_++];
      }
    }
    return out;
  }

 private:
  [[noreturn]] void refuse(std::string_view construct) const {
    fail(ErrorCode::kUnsupported,
         "{}: the regular expression \"{}\" uses {}, which is not supported", what_,
         in_.substr(0, 200), construct);
  }
  char peek(std::size_t ahead = 0) const {
    return pos_ + ahead < in_.size() ? in_[pos_ + ahead] : '\0';
  }

  /// The members of a class escape at pos_ (behind the backslash), and whether they are negated;
  /// empty when it is not one of the classes that need rewriting.
  std::pair<std::string_view, bool> class_escape(char letter) const {
    switch (letter) {
      case 's':
      case 'S':
        return {kSpace, letter == 'S'};
      case 'w':
      case 'W':
        return {kWord, letter == 'W'};
      case 'h':
      case 'H':
        return {kHex, letter == 'H'};
      default:
        return {{}, false};
    }
  }

  std::string escape() {
    ++pos_;
    if (pos_ == in_.size()) refuse("a backslash at the end");
    const char letter = in_[pos_];
    if (const auto [members, negated] = class_escape(letter); !members.empty()) {
      ++pos_;
      return (negated ? "[^" : "[") + std::string(members) + "]";
    }
    if (letter == 'b' || letter == 'B') {
      ++pos_;
      const std::string word = "[" + std::string(kWord) + "]";
      return letter == 'b'
                 ? "(?:(?<=" + word + ")(?!" + word + ")|(?<!" + word + ")(?=" + word + "))"
                 : "(?:(?<=" + word + ")(?=" + word + ")|(?<!" + word + ")(?!" + word + "))";
    }
    if (std::string_view("dDAZzGRXKk0123456789g").find(letter) != std::string_view::npos) {
      ++pos_;
      return std::string("\\") + letter;
    }
    return literal_escape();
  }

  /// Escapes that mean the same inside and outside a class: one character or a property.
  std::string literal_escape() {
    const char letter = in_[pos_];
    if (letter == 'p' || letter == 'P') return property();
    if (letter == 'u') {
      if (pos_ + 5 > in_.size()) refuse("an incomplete \\u");
      const std::string_view digits = in_.substr(pos_ + 1, 4);
      if (!std::all_of(digits.begin(), digits.end(),
                       [](unsigned char c) { return std::isxdigit(c) != 0; })) {
        refuse("an incomplete \\u");
      }
      pos_ += 5;
      return "\\x{" + std::string(digits) + "}";
    }
    if (letter == 'v') {
      ++pos_;
      return "\\x0B";
    }
    if (std::string_view("ntrfaex").find(letter) != std::string_view::npos) {
      ++pos_;
      return std::string("\\") + letter;
    }
    if (std::isalnum(static_cast<unsigned char>(letter)) != 0) {
      refuse(std::string("the escape \\") + letter);
    }
    const std::size_t length = char_length(letter);
    std::string out = length == 1 ? "\\" : "";
    out += in_.substr(pos_, length);
    pos_ += length;
    return out;
  }

  std::string property() {
    bool negated = in_[pos_] == 'P';
    ++pos_;
    if (peek() != '{') {  // \pL
      if (pos_ == in_.size()) refuse("an incomplete \\p");
      return std::string(negated ? "\\P{" : "\\p{") + in_[pos_++] + "}";
    }
    const std::size_t close = in_.find('}', pos_);
    if (close == std::string_view::npos) refuse("an incomplete \\p{");
    std::string name(in_.substr(pos_ + 1, close - pos_ - 1));
    pos_ = close + 1;
    if (!name.empty() && name[0] == '^') {
      negated = !negated;
      name.erase(0, 1);
    }
    static constexpr std::array<std::pair<std::string_view, std::string_view>, 18> kLong{
        {{"Alpha", "Alphabetic"},
         {"Digit", "Nd"},
         {"Lower", "Lowercase"},
         {"Upper", "Uppercase"},
         {"Space", "White_Space"},
         {"Punct", "P"},
         {"Letter", "L"},
         {"Mark", "M"},
         {"Number", "N"},
         {"Punctuation", "P"},
         {"Symbol", "S"},
         {"Separator", "Z"},
         {"Other", "C"},
         {"Uppercase_Letter", "Lu"},
         {"Lowercase_Letter", "Ll"},
         {"Titlecase_Letter", "Lt"},
         {"Modifier_Letter", "Lm"},
         {"Other_Letter", "Lo"}}};
    for (const auto& [long_name, short_name] : kLong) {
      if (name == long_name) name = short_name;
    }
    static constexpr std::array<std::string_view, 9> kBinary{
        "Any",       "Alphabetic",  "Lowercase",
        "Uppercase", "White_Space", "Ideographic",
        "Emoji",     "ASCII",       "Extended_Pictographic"};
    const bool plain =
        name.size() <= 2 || std::find(kBinary.begin(), kBinary.end(), name) != kBinary.end();
    if (!plain) name = "sc:" + name;
    return (negated ? "\\P{" : "\\p{") + name + "}";
  }

  std::string group() {
    if (peek(1) == '*') refuse("(*...)");
    if (peek(1) != '?') {
      ++pos_;
      return "(";
    }
    const char kind = peek(2);
    if (std::string_view(":=!>#<").find(kind) != std::string_view::npos && kind != '\0') {
      std::size_t length = 3;
      if (kind == '#') {  // a comment: its text must not be translated
        const std::size_t close = in_.find(')', pos_);
        if (close == std::string_view::npos) refuse("an unclosed comment");
        length = close + 1 - pos_;
      }
      std::string out(in_.substr(pos_, length));
      pos_ += length;
      return out;
    }
    std::string out = "(?";
    pos_ += 2;
    for (; std::string_view("imx-").find(peek()) != std::string_view::npos && peek() != '\0';
         ++pos_) {
      out += peek() == 'm' ? 's' : peek();
    }
    if (peek() != ':' && peek() != ')') refuse(std::string("the group (?") + peek());
    out += in_[pos_++];
    return out;
  }

  std::string interval() {
    const std::size_t close = in_.find('}', pos_);
    const std::string_view inside =
        close == std::string_view::npos ? "" : in_.substr(pos_ + 1, close - pos_ - 1);
    const bool counts = !inside.empty() && inside != "," &&
                        inside.find_first_not_of("0123456789,") == std::string_view::npos &&
                        std::count(inside.begin(), inside.end(), ',') <= 1;
    if (!counts) {
      ++pos_;
      return "\\{";
    }
    pos_ = close + 1;
    if (peek() == '+') refuse("a quantifier after an interval");
    return std::string(inside.front() == ',' ? "{0" : "{") + std::string(inside) + "}";
  }

  /// A class whose opening bracket has been read: an expression that matches one character.
  std::string char_class(int depth) {
    if (depth >= kMaxClassDepth) refuse("classes nested too deeply");
    const bool negated = peek() == '^';
    if (negated) ++pos_;
    std::vector<std::string> operands;  // of &&
    std::string members;
    std::vector<std::string> nested;
    const auto close_operand = [&] {
      if (members.empty() && nested.empty()) refuse("an empty character class");
      std::string operand = members.empty() ? "" : "[" + members + "]";
      for (const std::string& part : nested) operand += (operand.empty() ? "" : "|") + part;
      operands.push_back(nested.empty() ? operand : "(?:" + operand + ")");
    };
    bool class_before = true;  // a '-' next to a class or a bracket is a plain character
    for (bool first = true;; first = false) {
      if (pos_ >= in_.size()) refuse("an unclosed character class");
      const char c = in_[pos_];
      if (c == ']' && !first) {
        ++pos_;
        break;
      }
      if (c == '&' && peek(1) == '&') {
        pos_ += 2;
        close_operand();
        members.clear();
        nested.clear();
        class_before = true;
        continue;
      }
      class_before = class_member(members, nested, class_before, depth);
    }
    if (operands.empty() && nested.empty()) {
      if (members.empty()) refuse("an empty character class");
      return (negated ? "[^" : "[") + members + "]";
    }
    close_operand();
    std::string all;
    if (operands.size() == 1) {
      all = operands.front();
    } else {
      all = "(?:";
      for (std::size_t i = 0; i + 1 < operands.size(); ++i) all += "(?=" + operands[i] + ")";
      all += operands.back() + ")";
    }
    return negated ? "(?:(?!" + all + ")\\p{Any})" : all;
  }

  /// One member of a class. Returns whether it was a class rather than a single character.
  bool class_member(std::string& members, std::vector<std::string>& nested, bool class_before,
                    int depth) {
    const char c = in_[pos_];
    if (c == '[') {
      if (peek(1) == ':') {
        const std::size_t close = in_.find(":]", pos_);
        if (close == std::string_view::npos) refuse("an unclosed [:class:]");
        members += in_.substr(pos_, close + 2 - pos_);
        pos_ = close + 2;
        return true;
      }
      ++pos_;
      nested.push_back(char_class(depth + 1));
      return true;
    }
    if (c == '\\') {
      ++pos_;
      if (pos_ == in_.size()) refuse("a backslash at the end");
      const char letter = in_[pos_];
      if (const auto [set, negated] = class_escape(letter); !set.empty()) {
        ++pos_;
        if (negated) nested.push_back("[^" + std::string(set) + "]");
        if (!negated) members += set;
        return true;
      }
      if (letter == 'd' || letter == 'D') {
        ++pos_;
        members += letter == 'd' ? "\\d" : "\\D";
        return true;
      }
      if (letter == 'b') {
        ++pos_;
        members += "\\x08";
        return false;
      }
      if (letter >= '0' && letter <= '7') {
        ++pos_;
        members += std::string("\\") + letter;
        return false;
      }
      const bool is_property = letter == 'p' || letter == 'P';
      members += literal_escape();
      return is_property;
    }
    if (c == '-') {
      ++pos_;
      const bool class_after = peek() == ']' || peek() == '[' ||
                               (peek() == '\\' && std::string_view("sSwWhHdDpP").find(peek(1)) !=
                                                      std::string_view::npos);
      members += class_before || class_after ? "\\-" : "-";
      return false;
    }
    if (c == '^' || c == ']') members += '\\';
    const std::size_t length = char_length(c);
    members += in_.substr(pos_, length);
    pos_ += length;
    return false;
  }

  std::string_view in_;
  std::string_view what_;
  std::size_t pos_ = 0;
};

}  // namespace

std::string to_pcre2_syntax(std::string_view pattern, std::string_view what) {
  return Translator(pattern, what).run();
}

}  // namespace haq::text
