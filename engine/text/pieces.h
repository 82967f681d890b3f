// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/error.h"
#include "engine/text/tokenizer.h"

namespace haq::text {

/// Rules from a file may replace a character by a long text, step after step. No input becomes
/// larger than this.
inline constexpr std::size_t kMaxWorkBytes = std::size_t{1} << 28;

/// Throws kLimit above kMaxWorkBytes.
inline void check_work_size(std::size_t bytes) {
  if (bytes > kMaxWorkBytes) {
    fail(ErrorCode::kLimit, "the tokenizer's rules blow the text up to more than {} bytes",
         kMaxWorkBytes);
  }
}

/// Normalized text. `lead` counts its leading bytes that stem from the very first character of the
/// whole input (0 when it does not begin there): Metaspace marks only a piece that begins at
/// offset 0 of the input, whatever was put in front of it or taken away since.
struct Normalized {
  std::string text;
  std::size_t lead = 0;
};

/// A stretch of Pieces::text on its way to the model, or an added token.
struct Piece {
  std::size_t begin = 0;
  std::size_t end = 0;
  std::size_t lead = 0;  ///< as in Normalized
  TokenId token = -1;    ///< an added token; begin and end then mean nothing

  bool is_token() const { return token >= 0; }
  /// Bytes [from, to) of this piece.
  Piece slice(std::size_t from, std::size_t to) const {
    return {begin + from, begin + to, from < lead ? std::min(lead, to) - from : 0, -1};
  }
};

/// The input, cut into pieces that all lie in one buffer.
struct Pieces {
  std::string text;
  std::vector<Piece> list;

  std::string_view view(const Piece& piece) const {
    return std::string_view(text).substr(piece.begin, piece.end - piece.begin);
  }
};

}  // namespace haq::text
