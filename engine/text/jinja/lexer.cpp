// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/text/jinja/lexer.h"

#include <algorithm>

#include "engine/base/error.h"
#include "engine/text/jinja/unicode.h"

namespace haq::text::jinja {
namespace {

/// Line ends become "\n"; one trailing line end is dropped (jinja's keep_trailing_newline = false).
std::string normalize_newlines(std::string_view source) {
  std::string text;
  text.reserve(source.size());
  for (std::size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      text += source[i];
      continue;
    }
    text += '\n';
    if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
  }
  if (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : text_(normalize_newlines(source)) {}

  std::vector<Token> run() {
    while (at_ < text_.size()) lex_data();
    add(TokenType::kEnd, {});
    return std::move(tokens_);
  }

 private:
  [[noreturn]] void error(const std::string& message) const {
    fail(ErrorCode::kCorrupt, "line {}: {}", line_, message);
  }

  bool starts_with(std::string_view prefix, std::size_t at) const {
    return std::string_view(text_).substr(at).starts_with(prefix);
  }

  char peek(std::size_t at) const { return at < text_.size() ? text_[at] : '\0'; }

  void advance(std::size_t to) {
    line_ += static_cast<int>(std::count(text_.begin() + static_cast<std::ptrdiff_t>(at_),
                                         text_.begin() + static_cast<std::ptrdiff_t>(to), '\n'));
    at_ = to;
  }

  void add(TokenType type, std::string text) { tokens_.push_back({type, std::move(text), line_}); }

  std::size_t skip_space(std::size_t at) const {
    while (at < text_.size()) {
      std::size_t next = at;
      if (!is_space(next_code_point(text_, next))) break;
      at = next;
    }
    return at;
  }

  /// Position of the next tag ("{{", "{%" or "{#"), or the end of the text.
  std::size_t find_tag(std::size_t from) const {
    for (std::size_t at = from;; ++at) {
      at = text_.find('{', at);
      if (at == std::string::npos) return text_.size();
      const char next = peek(at + 1);
      if (next == '{' || next == '%' || next == '#') return at;
    }
  }

  /// Data before a tag, with what the tag's sign or lstrip_blocks takes away.
  std::string strip_before(std::size_t begin, std::size_t end, char sign, bool variable) const {
    std::string data = text_.substr(begin, end - begin);
    if (sign == '-') {
      std::size_t keep = data.size();
      while (keep > 0) {
        const std::size_t before = previous_boundary(data, keep);
        std::size_t probe = before;
        if (!is_space(next_code_point(data, probe))) break;
        keep = before;
      }
      data.resize(keep);
    } else if (sign != '+' && !variable) {
      const std::size_t newline = data.rfind('\n');
      const std::size_t line_start = newline == std::string::npos ? 0 : newline + 1;
      if (line_start > 0 || line_starting_) {
        std::size_t probe = line_start;
        bool blank = true;
        while (probe < data.size() && blank) blank = is_space(next_code_point(data, probe));
        if (blank) data.resize(line_start);
      }
    }
    return data;
  }

  static char sign_at(char c) { return c == '-' || c == '+' ? c : '\0'; }

  void emit_data(std::string data) {
    if (!data.empty()) add(TokenType::kData, std::move(data));
  }

  void lex_data() {
    const std::size_t tag = find_tag(at_);
    if (tag == text_.size()) {
      emit_data(text_.substr(at_));
      advance(tag);
      return;
    }
    const char kind = text_[tag + 1];
    const char sign = sign_at(peek(tag + 2));
    emit_data(strip_before(at_, tag, sign, kind == '{'));
    advance(tag);
    if (kind == '#') {
      lex_comment();
    } else if (kind == '%' && try_raw()) {
      return;
    } else {
      at_ += sign != '\0' ? 3 : 2;
      lex_code(kind == '%');
    }
  }

  /// End of a tag's closing delimiter that starts at `at`, with the whitespace it takes along.
  std::size_t close(std::size_t at, std::string_view delimiter, bool trim_newline) const {
    if (peek(at) == '-') return skip_space(at + 1 + delimiter.size());
    if (peek(at) == '+') return at + 1 + delimiter.size();
    at += delimiter.size();
    return trim_newline && peek(at) == '\n' ? at + 1 : at;
  }

  void finish_tag(std::size_t end) {
    advance(end);
    line_starting_ = end > 0 && text_[end - 1] == '\n';
  }

  void lex_comment() {
    const std::size_t end = text_.find("#}", at_ + 2);
    if (end == std::string::npos) error("a comment is not closed");
    const char sign = sign_at(text_[end - 1]);
    const std::size_t body = at_ + (sign_at(peek(at_ + 2)) != '\0' ? 3 : 2);
    const bool signed_end = sign != '\0' && end - 1 >= body;
    finish_tag(close(signed_end ? end - 1 : end, "#}", true));
  }

  /// Recognises {% raw %} at the current position and takes everything up to {% endraw %}.
  bool try_raw() {
    std::size_t at = at_ + 2;
    if (sign_at(peek(at)) != '\0') ++at;
    at = skip_space(at);
    if (!starts_with("raw", at)) return false;
    at = skip_space(at + 3);
    if (starts_with("-%}", at)) {
      at = skip_space(at + 3);
    } else if (starts_with("%}", at)) {
      at += 2;
    } else {
      return false;
    }
    finish_tag(at);
    for (std::size_t tag = at_;; ++tag) {
      tag = text_.find("{%", tag);
      if (tag == std::string::npos) error("a raw block has no endraw");
      const char sign = sign_at(peek(tag + 2));
      std::size_t name = skip_space(tag + (sign != '\0' ? 3 : 2));
      if (!starts_with("endraw", name)) continue;
      name = skip_space(name + 6);
      const std::size_t delimiter = sign_at(peek(name)) != '\0' ? name + 1 : name;
      if (!starts_with("%}", delimiter)) continue;
      emit_data(strip_before(at_, tag, sign, false));
      finish_tag(close(name, "%}", true));
      return true;
    }
  }

  void lex_code(bool block) {
    const std::string_view delimiter = block ? "%}" : "}}";
    add(block ? TokenType::kBlockBegin : TokenType::kVariableBegin, {});
    std::string brackets;
    while (true) {
      advance(skip_space(at_));
      if (at_ >= text_.size())
        error(block ? "a block tag is not closed" : "a variable tag is not closed");
      if (brackets.empty()) {
        const char c = text_[at_];
        const bool sign = (c == '-' || (block && c == '+')) && starts_with(delimiter, at_ + 1);
        if (sign || starts_with(delimiter, at_)) {
          add(block ? TokenType::kBlockEnd : TokenType::kVariableEnd, {});
          finish_tag(close(at_, delimiter, block));
          return;
        }
      }
      lex_token(brackets);
    }
  }

  void lex_token(std::string& brackets) {
    const char c = text_[at_];
    if (c == '\'' || c == '"') return lex_string(c);
    if (c >= '0' && c <= '9') return lex_number();
    std::size_t end = at_;
    while (end < text_.size()) {
      std::size_t next = end;
      if (!is_word(next_code_point(text_, next))) break;
      end = next;
    }
    if (end > at_) {
      add(TokenType::kName, text_.substr(at_, end - at_));
      return advance(end);
    }
    lex_operator(brackets);
  }

  void lex_operator(std::string& brackets) {
    static constexpr std::string_view kOperators[] = {
        "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[",
        "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ",", ";"};
    for (const std::string_view op : kOperators) {
      if (!starts_with(op, at_)) continue;
      if (op == "(" || op == "[" || op == "{") brackets += op == "(" ? ')' : op == "[" ? ']' : '}';
      if (op == ")" || op == "]" || op == "}") {
        if (brackets.empty()) error(fmt::format("unexpected '{}'", op));
        if (brackets.back() != op.front()) {
          error(fmt::format("unexpected '{}', expected '{}'", op, brackets.back()));
        }
        brackets.pop_back();
      }
      add(TokenType::kOperator, std::string(op));
      return advance(at_ + op.size());
    }
    std::size_t end = at_;
    next_code_point(text_, end);
    error(fmt::format("unexpected character '{}'", text_.substr(at_, end - at_)));
  }

  static bool is_ascii_digit(char c) { return c >= '0' && c <= '9'; }

  /// Digits with single underscores between them; the end of the match.
  std::size_t skip_digits(std::size_t at, bool (*accept)(char)) const {
    while (accept(peek(at)) || (peek(at) == '_' && accept(peek(at + 1)))) ++at;
    return at;
  }

  void lex_number() {
    const char marker = peek(at_ + 1);
    std::size_t end = 0;
    bool is_float = false;
    if (text_[at_] == '0' && (marker == 'x' || marker == 'X' || marker == 'o' || marker == 'O' ||
                              marker == 'b' || marker == 'B')) {
      end = skip_digits(at_ + 2, [](char c) {
        return is_ascii_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
      });
      if (end == at_ + 2) error("a number without digits");
    } else {
      end = skip_digits(at_, is_ascii_digit);
      if (peek(end) == '.' && is_ascii_digit(peek(end + 1))) {
        is_float = true;
        end = skip_digits(end + 1, is_ascii_digit);
      }
      if (peek(end) == 'e' || peek(end) == 'E') {
        const std::size_t digits = end + (sign_at(peek(end + 1)) != '\0' ? 2 : 1);
        if (is_ascii_digit(peek(digits))) {
          is_float = true;
          end = skip_digits(digits, is_ascii_digit);
        }
      }
    }
    std::string digits = text_.substr(at_, end - at_);
    std::erase(digits, '_');
    add(is_float ? TokenType::kFloat : TokenType::kInteger, std::move(digits));
    advance(end);
  }

  void lex_string(char quote) {
    std::string value;
    std::size_t at = at_ + 1;
    while (at < text_.size() && text_[at] != quote) {
      if (text_[at] == '\\' && at + 1 < text_.size()) {
        at = unescape(at + 1, value);
      } else {
        value += text_[at++];
      }
    }
    if (at >= text_.size()) error("a string is not closed");
    add(TokenType::kString, std::move(value));
    advance(at + 1);
  }

  /// Python's string escapes; `at` is behind the backslash. Unknown ones keep the backslash.
  std::size_t unescape(std::size_t at, std::string& value) const {
    static constexpr std::string_view kNames = "abfnrtv\\'\"";
    static constexpr std::string_view kValues = "\a\b\f\n\r\t\v\\'\"";
    const char c = text_[at];
    if (const auto known = kNames.find(c); known != std::string_view::npos) {
      value += kValues[known];
      return at + 1;
    }
    if (c == '\n') return at + 1;
    if (c == 'x' || c == 'u' || c == 'U') {
      return unescape_hex(at + 1, c == 'x' ? 2 : c == 'u' ? 4 : 8, value);
    }
    if (c >= '0' && c <= '7') {
      CodePoint code = 0;
      std::size_t end = at;
      while (end < at + 3 && peek(end) >= '0' && peek(end) <= '7')
        code = code * 8 + (text_[end++] - '0');
      append_utf8(value, code);
      return end;
    }
    value += '\\';
    return at;
  }

  std::size_t unescape_hex(std::size_t at, std::size_t digits, std::string& value) const {
    std::uint32_t code = 0;
    for (std::size_t i = 0; i < digits; ++i) {
      const char c = peek(at + i);
      std::uint32_t digit = 0;
      if (is_ascii_digit(c)) {
        digit = static_cast<std::uint32_t>(c - '0');
      } else if ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F')) {
        digit = static_cast<std::uint32_t>((c | 0x20) - 'a' + 10);
      } else {
        error(fmt::format("an escape in a string needs {} hexadecimal digits", digits));
      }
      code = code * 16 + digit;
    }
    if (code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) {
      error(fmt::format("an escape in a string names U+{:X}, which is no character", code));
    }
    append_utf8(value, static_cast<CodePoint>(code));
    return at + digits;
  }

  std::string text_;
  std::size_t at_ = 0;
  int line_ = 1;
  bool line_starting_ = true;
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> tokenize(std::string_view source) {
  return Lexer(source).run();
}

}  // namespace haq::text::jinja
