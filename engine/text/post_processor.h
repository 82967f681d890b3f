// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <vector>

#include "engine/text/fields.h"
#include "engine/text/tokenizer.h"

namespace haq::text {

/// Puts special tokens around the ids of a text. Immutable, thread-safe.
class PostProcessor {
 public:
  /// Throws kUnsupported for a type it does not know.
  static PostProcessor parse(const Fields& fields);
  /// Without `add_special` the special tokens of the templates are left out.
  std::vector<TokenId> apply(std::vector<TokenId> ids, bool add_special) const;
  /// All ids that it may put in.
  std::vector<TokenId> special_ids() const;

 private:
  struct Part {
    bool is_text = false;
    std::vector<TokenId> ids;
  };
  using Template = std::vector<Part>;
  void add(const Fields& fields, int depth);

  std::vector<Template> templates_;  ///< applied one after another
};

}  // namespace haq::text
