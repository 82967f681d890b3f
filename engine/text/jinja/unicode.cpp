// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/text/jinja/unicode.h"

#include <utf8proc.h>

#include <algorithm>

#include "engine/text/jinja/unicode_case.h"

namespace haq::text::jinja {
namespace {

bool is_continuation(char byte) {
  return (static_cast<unsigned char>(byte) & 0xc0U) == 0x80U;
}

utf8proc_category_t category(CodePoint code) {
  return utf8proc_category(code);
}

bool in_categories(CodePoint code, utf8proc_category_t first, utf8proc_category_t last) {
  const auto c = category(code);
  return c >= first && c <= last;
}

void append_expansion(std::string& out, const std::int32_t (&codes)[3]) {
  for (const std::int32_t code : codes) {
    if (code != 0) append_utf8(out, code);
  }
}

}  // namespace

CodePoint next_code_point(std::string_view text, std::size_t& position) {
  const auto byte = static_cast<unsigned char>(text[position]);
  if (byte < 0x80) {
    ++position;
    return byte;
  }
  utf8proc_int32_t code = 0;
  const auto* at = reinterpret_cast<const utf8proc_uint8_t*>(text.data()) + position;
  const auto used =
      utf8proc_iterate(at, static_cast<utf8proc_ssize_t>(text.size() - position), &code);
  if (used <= 0) {
    ++position;
    return byte;
  }
  position += static_cast<std::size_t>(used);
  return code;
}

std::size_t previous_boundary(std::string_view text, std::size_t position) {
  --position;
  while (position > 0 && is_continuation(text[position])) --position;
  return position;
}

void append_utf8(std::string& out, CodePoint code) {
  utf8proc_uint8_t buffer[4];
  const auto used = utf8proc_encode_char(code, buffer);
  out.append(reinterpret_cast<const char*>(buffer), static_cast<std::size_t>(used));
}

std::size_t count_code_points(std::string_view text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char byte) { return !is_continuation(byte); }));
}

std::size_t byte_offset(std::string_view text, std::size_t index) {
  std::size_t at = 0;
  for (; at < text.size(); ++at) {
    if (is_continuation(text[at])) continue;
    if (index == 0) break;
    --index;
  }
  return at;
}

bool is_space(CodePoint code) {
  if (code < 0x80)
    return code == ' ' || (code >= 0x09 && code <= 0x0d) || (code >= 0x1c && code <= 0x1f);
  return code == 0x85 || code == 0xa0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200a) ||
         code == 0x2028 || code == 0x2029 || code == 0x202f || code == 0x205f || code == 0x3000;
}

bool is_line_break(CodePoint code) {
  return (code >= 0x0a && code <= 0x0d) || (code >= 0x1c && code <= 0x1e) || code == 0x85 ||
         code == 0x2028 || code == 0x2029;
}

bool is_alpha(CodePoint code) {
  return in_categories(code, UTF8PROC_CATEGORY_LU, UTF8PROC_CATEGORY_LO);
}

bool is_decimal(CodePoint code) {
  return category(code) == UTF8PROC_CATEGORY_ND;
}

bool is_digit(CodePoint code) {
  // Numeric_Type=Digit: superscripts, subscripts and the circled or dotted digits.
  static constexpr std::pair<CodePoint, CodePoint> kDigits[] = {
      {0xb2, 0xb3},     {0xb9, 0xb9},     {0x1369, 0x1371}, {0x19da, 0x19da},
      {0x2070, 0x2070}, {0x2074, 0x2079}, {0x2080, 0x2089}, {0x2460, 0x2468},
      {0x2474, 0x247c}, {0x2488, 0x2490}, {0x24ea, 0x24ea}, {0x24f5, 0x24fd},
      {0x24ff, 0x24ff}, {0x2776, 0x277e}, {0x2780, 0x2788}, {0x278a, 0x2792}};
  return is_decimal(code) ||
         std::any_of(std::begin(kDigits), std::end(kDigits), [code](const auto& range) {
           return code >= range.first && code <= range.second;
         });
}

bool is_numeric(CodePoint code) {
  return in_categories(code, UTF8PROC_CATEGORY_ND, UTF8PROC_CATEGORY_NO);
}

bool is_upper(CodePoint code) {
  return category(code) == UTF8PROC_CATEGORY_LU;
}
bool is_lower(CodePoint code) {
  return category(code) == UTF8PROC_CATEGORY_LL;
}
bool is_title(CodePoint code) {
  return category(code) == UTF8PROC_CATEGORY_LT;
}

bool is_cased(CodePoint code) {
  return in_categories(code, UTF8PROC_CATEGORY_LU, UTF8PROC_CATEGORY_LT);
}

bool is_case_ignorable(CodePoint code) {
  switch (category(code)) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_SK:
      return true;
    default:
      break;
  }
  return code == '\'' || code == '.' || code == ':' || code == 0xb7 || code == 0x2018 ||
         code == 0x2019 || code == 0x2024 || code == 0x2027;
}

bool is_printable(CodePoint code) {
  if (code < 0x80) return code >= 0x20 && code < 0x7f;
  switch (category(code)) {
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
      return false;
    default:
      return true;
  }
}

bool is_word(CodePoint code) {
  if (code < 0x80) {
    return code == '_' || (code >= '0' && code <= '9') || (code >= 'a' && code <= 'z') ||
           (code >= 'A' && code <= 'Z');
  }
  return is_alnum(code);
}

void append_upper(std::string& out, CodePoint code) {
  if (const CaseExpansion* special = find_case_expansion(code)) {
    append_expansion(out, special->upper);
  } else {
    append_utf8(out, utf8proc_toupper(code));
  }
}

void append_lower(std::string& out, CodePoint code) {
  if (code == 0x130) {
    out += "i\u0307";
  } else {
    append_utf8(out, utf8proc_tolower(code));
  }
}

void append_title(std::string& out, CodePoint code) {
  if (const CaseExpansion* special = find_case_expansion(code)) {
    append_expansion(out, special->title);
  } else {
    append_utf8(out, utf8proc_totitle(code));
  }
}

void append_fold(std::string& out, CodePoint code) {
  if (const CaseExpansion* special = find_case_expansion(code)) {
    append_expansion(out, special->fold);
    return;
  }
  utf8proc_int32_t folded[4] = {code};
  int last_class = UTF8PROC_BOUNDCLASS_START;
  const auto used = utf8proc_decompose_char(code, folded, 4, UTF8PROC_CASEFOLD, &last_class);
  for (utf8proc_ssize_t i = 0; i < used && i < 4; ++i) append_utf8(out, folded[i]);
}

}  // namespace haq::text::jinja
