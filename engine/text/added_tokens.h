// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/text/fields.h"
#include "engine/text/model.h"
#include "engine/text/normalizer.h"
#include "engine/text/tokenizer.h"
#include "engine/text/trie.h"

namespace haq::text {

/// Tokens that are cut out of the text before the model sees it. Immutable, thread-safe.
class AddedTokens {
 public:
  struct Token {
    std::string content;
    std::string shown;  ///< what it decodes to: its normalized form when it is sought in that
    TokenId id = 0;
    bool single_word = false;
    bool lstrip = false;
    bool rstrip = false;
    bool normalized = false;
    bool special = false;
  };

  /// Reads "added_tokens". Ids must agree with the vocabulary and among each other (kCorrupt).
  static AddedTokens parse(const Fields& file, const Vocab& vocab, const Normalizer* normalizer);

  /// A stretch of text, or an added token (id >= 0) with the blanks it swallows.
  struct Cut {
    std::size_t begin = 0;
    std::size_t end = 0;
    TokenId id = -1;
  };
  /// Covers `text`. `normalized`: looks for the tokens that are sought in normalized text, else for
  /// those sought in raw text. Without `specials` only tokens that are not special are sought.
  std::vector<Cut> cut(std::string_view text, bool normalized, bool specials) const;
  /// The special tokens of raw text that cut(..., specials = false) would leave in it.
  std::vector<Tokenizer::SpecialMatch> find_special(std::string_view text) const;

  std::optional<TokenId> id_of(std::string_view content) const;
  /// The token with this id, or null.
  const Token* token(TokenId id) const;
  bool is_special(TokenId id) const { return special_ids_.contains(id); }
  const IdSet& special_ids() const { return special_ids_; }
  TokenId end_id() const { return end_id_; }

 private:
  /// Finds the leftmost longest of a set of tokens.
  struct Finder {
    Trie trie;
    std::vector<bool> first = std::vector<bool>(256, false);  ///< bytes that a token begins with
    bool empty = true;
    void add(std::string_view key, std::int32_t index);
  };
  struct Found {
    std::size_t begin;
    std::size_t end;
    const Token* token;
  };
  std::vector<Found> search(const Finder& finder, std::string_view text) const;

  std::vector<Token> tokens_;  ///< specials first, then in the order of the file
  std::vector<std::size_t> by_id_;
  Trie by_content_;
  Finder finders_[2][2];  ///< [normalized][with specials]
  IdSet special_ids_;
  TokenId end_id_ = 0;
};

}  // namespace haq::text
