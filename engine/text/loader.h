// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace haq::text {

/// A tokenizer.json read in one pass: the two large members of "model" as flat tables, everything
/// else as JSON.
struct TokenizerFile {
  struct Token {
    std::uint32_t begin = 0;  ///< in `strings`
    std::uint32_t length = 0;
    std::int64_t id = 0;  ///< of an object
    double score = 0;     ///< of a list
  };
  struct Merge {
    std::uint32_t left_begin = 0;  ///< in `strings`
    std::uint32_t left_length = 0;
    std::uint32_t right_begin = 0;
    std::uint32_t right_length = 0;
  };

  nlohmann::json rest;  ///< without model.vocab and model.merges
  bool has_vocab = false;
  bool has_merges = false;
  bool vocab_is_list = false;  ///< Unigram: [[piece, score], ...]
  std::string strings;
  std::vector<Token> vocab;
  std::vector<Merge> merges;

  std::string_view piece(const Token& token) const {
    return std::string_view(strings).substr(token.begin, token.length);
  }
  std::string_view left(const Merge& merge) const {
    return std::string_view(strings).substr(merge.left_begin, merge.left_length);
  }
  std::string_view right(const Merge& merge) const {
    return std::string_view(strings).substr(merge.right_begin, merge.right_length);
  }
};

/// Largest tokenizer.json that is read.
inline constexpr std::size_t kMaxTokenizerFileBytes = std::size_t{256} << 20;

/// Parses untrusted JSON with the guarantees of haq::parse_json (depth, twice used keys, trailing
/// text, UTF-8); a token that occurs twice in model.vocab is left to the caller. Throws kCorrupt or
/// kLimit; `what` names the file.
TokenizerFile read_tokenizer_file(std::string_view text, std::string_view what);

}  // namespace haq::text
