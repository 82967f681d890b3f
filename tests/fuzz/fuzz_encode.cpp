// SPDX-License-Identifier: GPL-3.0-or-later
// Any text and any ids for tokenizers that are known to be good. Input: a byte that chooses the
// tokenizer, then the text, whose bytes also serve as ids.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string_view>
#include <vector>

#include "engine/base/error.h"
#include "engine/text/tokenizer.h"
#include "engine/text/unicode.h"
#include "tests/support/paths.h"

namespace {

using namespace haq::text;

std::vector<std::shared_ptr<const Tokenizer>> load_all() {
  std::vector<std::filesystem::path> folders;
  for (const auto& entry :
       std::filesystem::directory_iterator(haq::test::golden_dir() / "tokenizers")) {
    if (entry.is_directory()) folders.push_back(entry.path());
  }
  std::sort(folders.begin(), folders.end());
  std::vector<std::shared_ptr<const Tokenizer>> out;
  for (const auto& folder : folders) out.push_back(Tokenizer::load(folder));
  return out;
}

void require(bool condition) {
  if (!condition) std::abort();
}

void check_text(const Tokenizer& tokenizer, std::string_view text) {
  for (const bool special : {false, true}) {
    const auto ids = tokenizer.encode(text, {.add_special = false, .parse_special = special});
    require(is_valid_utf8(tokenizer.decode(ids, false)));
    for (const TokenId id : ids) {
      const std::string piece = tokenizer.piece(id);
      require(special || !tokenizer.is_special(id) || piece == "<unk>" || piece == "[UNK]");
    }
  }
  tokenizer.find_special(text);
}

void check_ids(const Tokenizer& tokenizer, std::string_view bytes) {
  std::vector<TokenId> ids;
  for (std::size_t i = 0; i + 1 < bytes.size(); i += 2) {
    const int wide =
        static_cast<unsigned char>(bytes[i]) * 256 + static_cast<unsigned char>(bytes[i + 1]);
    ids.push_back(wide % tokenizer.size());
  }
  require(is_valid_utf8(tokenizer.decode(ids, false)));
  const auto prompt = std::span(ids).first(ids.size() / 3);
  const auto stream = tokenizer.stream(prompt, true);
  for (const TokenId id : std::span(ids).subspan(prompt.size())) {
    require(is_valid_utf8(stream->push(id)));
  }
  require(is_valid_utf8(stream->flush()));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto tokenizers = load_all();
  if (size == 0) return 0;
  const Tokenizer& tokenizer = *tokenizers[data[0] % tokenizers.size()];
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  check_ids(tokenizer, text);
  try {
    check_text(tokenizer, text);
    require(is_valid_utf8(text));
  } catch (const haq::Error& error) {
    require(error.code() == haq::ErrorCode::kInvalidArgument && !is_valid_utf8(text));
  }
  return 0;
}
