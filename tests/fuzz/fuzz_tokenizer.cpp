// SPDX-License-Identifier: GPL-3.0-or-later
// Any tokenizer.json, and any text for it. Input: the JSON, a byte 0x1E, the text.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "engine/base/error.h"
#include "engine/text/tokenizer.h"
#include "engine/text/unicode.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace haq::text;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::size_t cut = input.find('\x1E');
  const std::string_view file = input.substr(0, cut);
  const std::string_view text = cut == std::string_view::npos ? "a b" : input.substr(cut + 1);
  try {
    const auto tokenizer = Tokenizer::parse(file, "fuzz");
    for (const bool special : {false, true}) {
      const auto ids = tokenizer->encode(text, {.add_special = special, .parse_special = special});
      for (const TokenId id : ids) {
        if (id < 0 || id >= tokenizer->size()) std::abort();
      }
      const auto stream = tokenizer->stream({}, special);
      for (const TokenId id : ids) {
        if (!is_valid_utf8(stream->push(id))) std::abort();
      }
      if (!is_valid_utf8(stream->flush())) std::abort();
      if (!is_valid_utf8(tokenizer->decode(ids, special))) std::abort();
    }
    for (const auto& match : tokenizer->find_special(text)) {
      if (match.begin >= match.end || match.end > text.size()) std::abort();
    }
  } catch (const haq::Error&) {  // refused with a message: as it should be
  }
  return 0;
}
