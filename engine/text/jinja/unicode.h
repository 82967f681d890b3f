// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace haq::text::jinja {

using CodePoint = std::int32_t;

/// Decodes the code point at `position` (< text.size()) and moves past it. A byte that is no valid
/// UTF-8 stands for itself, so that the function always advances.
CodePoint next_code_point(std::string_view text, std::size_t& position);
/// Moves back to the start of the code point that ends at `position` (> 0).
std::size_t previous_boundary(std::string_view text, std::size_t position);
void append_utf8(std::string& out, CodePoint code);
std::size_t count_code_points(std::string_view text);
/// Byte offset of the code point with this index; text.size() when there are fewer.
std::size_t byte_offset(std::string_view text, std::size_t index);

/// The character classes of Python's str methods.
bool is_space(CodePoint code);
bool is_line_break(CodePoint code);
bool is_alpha(CodePoint code);
bool is_decimal(CodePoint code);
bool is_digit(CodePoint code);
bool is_numeric(CodePoint code);
inline bool is_alnum(CodePoint code) {
  return is_alpha(code) || is_numeric(code);
}
bool is_upper(CodePoint code);
bool is_lower(CodePoint code);
bool is_title(CodePoint code);
bool is_cased(CodePoint code);
bool is_case_ignorable(CodePoint code);
bool is_printable(CodePoint code);
/// \w of a Unicode regular expression.
bool is_word(CodePoint code);

/// Full case mappings without context, as Python has them (one code point may become up to three).
void append_upper(std::string& out, CodePoint code);
void append_lower(std::string& out, CodePoint code);
void append_title(std::string& out, CodePoint code);
void append_fold(std::string& out, CodePoint code);

}  // namespace haq::text::jinja
