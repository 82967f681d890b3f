// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/text/tokenizer.h"

namespace haq::text {

/// Ids at and above this are refused: no vocabulary is that large, a lying file may be.
inline constexpr std::int64_t kMaxTokenId = 16 * 1024 * 1024;
/// Longest spelling of a token. Bounds the cost of a look-up at every position of a text.
inline constexpr std::size_t kMaxTokenBytes = 4 * 1024;

/// Tokens and their ids, both ways. Memory follows the number of tokens, not the largest id, and
/// ids may have holes. Filled once, then immutable and thread-safe.
class Vocab {
 public:
  void reserve(std::size_t tokens, std::size_t bytes);
  /// Adds a token; false when its spelling is already there (the old entry stays).
  bool add(std::string_view piece, TokenId id);
  /// Sorts by id. Returns an id that two tokens share, if there is one.
  std::optional<TokenId> finish();

  std::optional<TokenId> find(std::string_view piece) const;
  std::optional<std::string_view> piece(TokenId id) const;
  std::size_t count() const { return entries_.size(); }
  /// One past the largest id.
  TokenId end_id() const { return end_id_; }

 private:
  struct Entry {
    std::uint32_t begin;
    std::uint32_t length;
    TokenId id;
    std::uint32_t hash;
  };
  std::string_view text(const Entry& entry) const {
    return std::string_view(arena_).substr(entry.begin, entry.length);
  }
  void rehash(std::size_t slots);
  static std::uint32_t hash(std::string_view piece);

  std::string arena_;
  std::vector<Entry> entries_;
  std::vector<std::uint32_t> slots_;  ///< entry index + 1; 0 = free; a power of two of them
  std::vector<std::uint32_t> by_id_;  ///< entry indices, ascending id
  TokenId end_id_ = 0;
};

}  // namespace haq::text
