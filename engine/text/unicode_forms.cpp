// SPDX-License-Identifier: GPL-3.0-or-later
#include <utf8proc.h>

#include <algorithm>
#include <vector>

#include "engine/base/error.h"
#include "engine/text/normalizer.h"
#include "engine/text/unicode.h"

namespace haq::text {
namespace {

using Code = utf8proc_int32_t;

int combining_class(Code c) {
  return utf8proc_get_property(c)->combining_class;
}

/// Decomposes `text` in canonical order. utf8proc's own whole-string function orders a run of marks
/// in quadratic time, which a hostile text could use; the stable sort here does not.
std::vector<Code> decompose(std::string_view text, int options) {
  std::vector<Code> out;
  out.reserve(text.size());
  for (std::size_t pos = 0; pos < text.size();) {
    Code buffer[32];
    int boundary = 0;
    const Code c = static_cast<Code>(next_char(text, pos));
    const auto count =
        utf8proc_decompose_char(c, buffer, 32, static_cast<utf8proc_option_t>(options), &boundary);
    if (count < 0 || count > 32) {
      fail(ErrorCode::kInternal, "cannot decompose U+{:04X}: {}", c, utf8proc_errmsg(count));
    }
    out.insert(out.end(), buffer, buffer + count);
  }
  for (std::size_t i = 0; i < out.size();) {
    if (combining_class(out[i]) == 0) {
      ++i;
      continue;
    }
    std::size_t end = i;
    while (end < out.size() && combining_class(out[end]) != 0) ++end;
    std::stable_sort(out.begin() + static_cast<std::ptrdiff_t>(i),
                     out.begin() + static_cast<std::ptrdiff_t>(end),
                     [](Code a, Code b) { return combining_class(a) < combining_class(b); });
    i = end;
  }
  return out;
}

std::string normalized_string(std::string_view text, bool compose, bool compatibility) {
  int options = UTF8PROC_STABLE | (compose ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE);
  if (compatibility) options |= UTF8PROC_COMPAT;
  std::vector<Code> codes = decompose(text, options);
  if (compose) {
    const auto size =
        utf8proc_normalize_utf32(codes.data(), static_cast<utf8proc_ssize_t>(codes.size()),
                                 static_cast<utf8proc_option_t>(options));
    if (size < 0) fail(ErrorCode::kInternal, "cannot compose: {}", utf8proc_errmsg(size));
    codes.resize(static_cast<std::size_t>(size));
  }
  std::string out;
  out.reserve(text.size());
  for (const Code c : codes) append_utf8(out, static_cast<char32_t>(c));
  return out;
}

}  // namespace

void normalize_unicode(Normalized& text, bool compose, bool compatibility) {
  const bool ascii = std::all_of(text.text.begin(), text.text.end(),
                                 [](char c) { return static_cast<unsigned char>(c) < 0x80; });
  if (ascii) return;
  std::size_t lead = 0;
  if (text.lead > 0) {
    // The form of the leading part alone is as long as its share of the result, up to a mark that
    // composes across the border; the first character of the result always belongs to it.
    lead =
        normalized_string(std::string_view(text.text).substr(0, text.lead), compose, compatibility)
            .size();
  }
  text.text = normalized_string(text.text, compose, compatibility);
  if (lead > 0 && !text.text.empty()) lead = std::max(lead, char_length(text.text[0]));
  text.lead = std::min(lead, text.text.size());
}

}  // namespace haq::text
