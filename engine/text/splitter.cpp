// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/text/splitter.h"

#include <algorithm>

#include "engine/base/error.h"

namespace haq::text {

SplitBehavior parse_split_behavior(const Fields& fields, std::string_view key,
                                   std::optional<SplitBehavior> fallback) {
  if (fallback && !fields.has(key)) return *fallback;
  const std::string name = fields.text(key);
  if (name == "Removed") return SplitBehavior::kRemoved;
  if (name == "Isolated") return SplitBehavior::kIsolated;
  if (name == "MergedWithPrevious") return SplitBehavior::kMergedWithPrevious;
  if (name == "MergedWithNext") return SplitBehavior::kMergedWithNext;
  if (name == "Contiguous") return SplitBehavior::kContiguous;
  fail(ErrorCode::kUnsupported, "{}: the split behavior \"{}\" is not supported", fields.place(),
       name.substr(0, 100));
}

void merge_stretches(std::vector<Stretch>& stretches, SplitBehavior behavior) {
  std::size_t kept = 0;
  bool previous_match = false;
  switch (behavior) {
    case SplitBehavior::kIsolated:
      return;
    case SplitBehavior::kRemoved:
      std::erase_if(stretches, [](const Stretch& stretch) { return stretch.is_match; });
      return;
    case SplitBehavior::kContiguous:
      for (const Stretch stretch : stretches) {
        if (stretch.is_match == previous_match && kept > 0) {
          stretches[kept - 1].end = stretch.end;
        } else {
          stretches[kept++] = stretch;
        }
        previous_match = stretch.is_match;
      }
      stretches.resize(kept);
      return;
    case SplitBehavior::kMergedWithPrevious:
      for (const Stretch stretch : stretches) {
        if (stretch.is_match && !previous_match && kept > 0) {
          stretches[kept - 1].end = stretch.end;
        } else {
          stretches[kept++] = stretch;
        }
        previous_match = stretch.is_match;
      }
      stretches.resize(kept);
      return;
    case SplitBehavior::kMergedWithNext:
      std::reverse(stretches.begin(), stretches.end());
      for (const Stretch stretch : stretches) {
        if (stretch.is_match && !previous_match && kept > 0) {
          stretches[kept - 1].begin = stretch.begin;
        } else {
          stretches[kept++] = stretch;
        }
        previous_match = stretch.is_match;
      }
      stretches.resize(kept);
      std::reverse(stretches.begin(), stretches.end());
      return;
  }
}

}  // namespace haq::text
