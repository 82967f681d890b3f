// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace haq::text {

using TokenId = std::int32_t;

/// A Hugging Face tokenizer.json. Immutable, thread-safe.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;
  /// Reads FOLDER/tokenizer.json, which is untrusted input: kCorrupt, kLimit, or kUnsupported naming
  /// what is not known. Its "truncation" and "padding" are ignored: a prompt is never cut or filled.
  static std::shared_ptr<const Tokenizer> load(const std::filesystem::path& folder);
  static std::shared_ptr<const Tokenizer> parse(std::string_view tokenizer_json, std::string_view what);

  struct EncodeOptions {
    bool add_special = true;     ///< run the post-processor (BOS, EOS ...)
    bool parse_special = true;   ///< false: text that spells a special token is encoded as plain text
  };
  /// `text` must be valid UTF-8 (kInvalidArgument otherwise).
  virtual std::vector<TokenId> encode(std::string_view text, const EncodeOptions&) const = 0;
  std::vector<TokenId> encode(std::string_view text) const { return encode(text, EncodeOptions{}); }
  /// An added token found in raw text: bytes [begin, end), with the blanks that its lstrip or rstrip
  /// swallows.
  struct SpecialMatch {
    std::size_t begin = 0;
    std::size_t end = 0;
    TokenId id = 0;
  };
  /// Where encode(text, {.parse_special = true}) would cut `text` at added tokens that
  /// {.parse_special = false} would not recognise: the same tokens in the same (leftmost, longest)
  /// order, honouring single_word, lstrip and rstrip. Only matches on the raw text; ascending and
  /// without overlap. encode_prompt() relies on it to keep the text of messages from ever becoming
  /// one of them. `text` must be valid UTF-8 (kInvalidArgument otherwise).
  virtual std::vector<SpecialMatch> find_special(std::string_view text) const = 0;
  /// Ids outside the vocabulary throw kInvalidArgument.
  virtual std::string decode(std::span<const TokenId> ids, bool skip_special) const = 0;
  /// The token as the vocabulary spells it ("▁dog", "Ġdog").
  virtual std::string piece(TokenId id) const = 0;
  virtual std::optional<TokenId> id_of(std::string_view piece) const = 0;
  virtual bool is_special(TokenId id) const = 0;
  /// The token that stands for text outside the vocabulary, if the tokenizer has one.
  virtual std::optional<TokenId> unknown_id() const = 0;
  /// One past the largest id, added tokens included.
  virtual TokenId size() const = 0;

  /// Incremental detokenizer: returns text to append for each token, every completed character at
  /// once and never half of one (rule in tests/golden/README.md).
  class Stream {
   public:
    virtual ~Stream() = default;
    virtual std::string push(TokenId id) = 0;
    virtual std::string flush() = 0;
  };
  /// `prompt` is the context already on screen; it is not returned again. The stream keeps the
  /// tokenizer alive.
  virtual std::unique_ptr<Stream> stream(std::span<const TokenId> prompt, bool skip_special) const = 0;
};

}  // namespace haq::text
