// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace haq::text {

/// True for well-formed UTF-8 (no surrogates, no overlong forms, nothing above U+10FFFF).
bool is_valid_utf8(std::string_view text);

/// The character at `pos` of valid UTF-8; moves `pos` behind it.
char32_t next_char(std::string_view text, std::size_t& pos);
/// Bytes of the character that begins with this lead byte (valid UTF-8).
std::size_t char_length(char lead);
/// Where the last character of non-empty valid UTF-8 begins.
std::size_t last_char_begin(std::string_view text);
std::size_t count_chars(std::string_view text);
void append_utf8(std::string& out, char32_t c);

/// Character classes by the Unicode property that each name stands for.
bool is_white_space(char32_t c);      ///< White_Space
bool is_numeric(char32_t c);          ///< general category N
bool is_punctuation(char32_t c);      ///< general category P, or an ASCII symbol
bool is_mark(char32_t c);             ///< general category M
bool is_nonspacing_mark(char32_t c);  ///< general category Mn
bool is_control_like(char32_t c);     ///< general category Cc, Cf, Co
bool is_word(char32_t c);             ///< \w of UTS 18: Alphabetic, M, Nd, Pc, Join_Control
/// Appends the full lower-case mapping (without context rules).
void append_lower(std::string& out, char32_t c);

/// The byte-level alphabet of GPT-2: every byte has a visible character of its own.
std::string_view byte_to_visible(unsigned char byte);
/// The byte behind such a character, or -1.
int visible_to_byte(char32_t c);

/// Bytes to text as they arrive: complete characters come out at once, each maximal invalid part
/// becomes one U+FFFD (Unicode standard, "substitution of maximal subparts"), and the beginning of
/// a character is kept until it is complete or refuted.
class LossyUtf8 {
 public:
  void push(std::string_view bytes, std::string& out);
  void finish(std::string& out);

 private:
  std::string pending_;
};

inline constexpr std::string_view kReplacementCharacter = "\xEF\xBF\xBD";

}  // namespace haq::text
