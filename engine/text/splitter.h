// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <vector>

#include "engine/text/pattern.h"
#include "engine/text/pieces.h"

namespace haq::text {

/// What becomes of the delimiters when a piece is cut.
enum class SplitBehavior { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };

SplitBehavior parse_split_behavior(const Fields& fields, std::string_view key,
                                   std::optional<SplitBehavior> fallback = std::nullopt);

/// Joins or drops stretches by the behaviour; what is left are the new pieces.
void merge_stretches(std::vector<Stretch>& stretches, SplitBehavior behavior);

/// Cuts every piece: `find(text, stretches)` covers one piece with stretches.
template <typename Find>
void split_pieces(Pieces& pieces, SplitBehavior behavior, Find find) {
  std::vector<Piece> out;
  out.reserve(pieces.list.size());
  std::vector<Stretch> stretches;
  for (const Piece& piece : pieces.list) {
    if (piece.is_token()) {
      out.push_back(piece);
      continue;
    }
    stretches.clear();
    find(pieces.view(piece), stretches);
    merge_stretches(stretches, behavior);
    for (const Stretch& stretch : stretches) {
      if (stretch.end > stretch.begin) out.push_back(piece.slice(stretch.begin, stretch.end));
    }
  }
  pieces.list = std::move(out);
}

}  // namespace haq::text
