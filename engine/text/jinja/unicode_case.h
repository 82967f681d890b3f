// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>

namespace haq::text::jinja {

/// Case forms of one code point, each up to three code points, zero-terminated when shorter.
struct CaseExpansion {
  std::int32_t code;
  std::int32_t upper[3];
  std::int32_t title[3];
  std::int32_t fold[3];
};

/// nullptr when every case form of `code` is a single code point.
const CaseExpansion* find_case_expansion(std::int32_t code);

}  // namespace haq::text::jinja
