// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/profile/store/stored_values.h"

#include <utf8proc.h>

#include <nlohmann/json.hpp>

#include "engine/base/error.h"
#include "engine/base/json.h"

namespace haq::profile {

void check_stored_name(const std::string& name, const char* kind) {
  constexpr int kMaxCharacters = 200;
  int characters = 0;
  bool good = true;
  const auto* at = reinterpret_cast<const utf8proc_uint8_t*>(name.data());
  auto left = static_cast<utf8proc_ssize_t>(name.size());
  while (left > 0 && good && characters <= kMaxCharacters) {
    utf8proc_int32_t character = 0;
    const utf8proc_ssize_t size = utf8proc_iterate(at, left, &character);
    good = size > 0 && utf8proc_category(character) != UTF8PROC_CATEGORY_CC;
    at += size;
    left -= size;
    ++characters;
  }
  if (good && characters >= 1 && characters <= kMaxCharacters) return;
  fail(ErrorCode::kInvalidArgument,
       "the name of {} must have 1 to {} characters of UTF-8 and no control characters", kind,
       kMaxCharacters);
}

void check_json_object(std::string_view text, std::string_view what) {
  bool object = false;
  try {
    object = parse_json(text, what).is_object();
  } catch (const Error& error) {
    throw Error(ErrorCode::kInvalidArgument, error.what());
  }
  if (!object) fail(ErrorCode::kInvalidArgument, "{}: expected a JSON object", what);
}

}  // namespace haq::profile
