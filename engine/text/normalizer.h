// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <memory>

#include "engine/text/fields.h"
#include "engine/text/pieces.h"

namespace haq::text {

/// A step that rewrites text before it is cut. Immutable, thread-safe.
class Normalizer {
 public:
  virtual ~Normalizer() = default;
  virtual void apply(Normalized& text) const = 0;
  /// Throws kUnsupported for a type it does not know.
  static std::unique_ptr<const Normalizer> parse(const Fields& fields);
};

/// The table of SentencePiece normalization rules that some files carry ("Precompiled").
std::unique_ptr<const Normalizer> make_precompiled_normalizer(const Fields& fields);

/// Unicode normalization forms; `compose` and `compatibility` choose among NFD, NFC, NFKD, NFKC.
void normalize_unicode(Normalized& text, bool compose, bool compatibility);

}  // namespace haq::text
