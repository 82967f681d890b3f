// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <memory>

#include "engine/text/fields.h"
#include "engine/text/pieces.h"

namespace haq::text {

/// A step that cuts pieces into smaller ones (and may rewrite them). Immutable, thread-safe.
class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  virtual void apply(Pieces& pieces) const = 0;
  /// Throws kUnsupported for a type it does not know.
  static std::unique_ptr<const PreTokenizer> parse(const Fields& fields);
};

}  // namespace haq::text
