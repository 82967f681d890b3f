// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace haq::text::jinja {

enum class TokenType : std::uint8_t {
  kData,
  kVariableBegin,
  kVariableEnd,
  kBlockBegin,
  kBlockEnd,
  kName,
  kString,
  kInteger,
  kFloat,
  kOperator,
  kEnd,
};

struct Token {
  TokenType type = TokenType::kEnd;
  std::string text;  ///< data, name, the string's value, the number's digits, the operator
  int line = 1;
};

/// Jinja's lexer with trim_blocks and lstrip_blocks on, as transformers configures it: comments and
/// raw blocks are resolved, whitespace control is applied. The last token is kEnd. Throws kCorrupt
/// with "line N: ..." for unclosed or unknown text.
std::vector<Token> tokenize(std::string_view source);

}  // namespace haq::text::jinja
