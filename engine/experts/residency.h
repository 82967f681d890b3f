// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <vector>

#include "engine/experts/shape.h"

namespace haq::experts {

/// Which experts lie in which of the equal slots of a device's arena. Purely logical: a policy
/// changes it at the end of a step, whoever owns the arena then moves the bytes. Not thread-safe.
class Residency {
 public:
  /// What has to be copied: `expert` into `slot`, whose former content (`victim`, -1: none) is
  /// gone.
  struct Change {
    ExpertIndex expert = -1, victim = -1;
    std::int32_t slot = -1;
  };

  /// `capacity` slots, 0 to shape.total().
  Residency(const ExpertShape& shape, int capacity);

  const ExpertShape& shape() const { return shape_; }
  int capacity() const { return static_cast<int>(occupants_.size()); }
  int used() const { return capacity() - static_cast<int>(free_.size()); }
  bool full() const { return free_.empty(); }
  bool contains(ExpertIndex expert) const { return slots_[static_cast<std::size_t>(expert)] >= 0; }
  std::int32_t slot_of(ExpertIndex expert) const {
    return slots_[static_cast<std::size_t>(expert)];
  }
  ExpertIndex occupant(std::int32_t slot) const {
    return occupants_[static_cast<std::size_t>(slot)];
  }
  int used_in_layer(int layer) const { return used_in_layer_[static_cast<std::size_t>(layer)]; }

  /// Puts an absent expert into a free slot; there must be one.
  void admit(ExpertIndex expert);
  /// Puts an absent expert into the slot of a resident one.
  void replace(ExpertIndex victim, ExpertIndex expert);

  std::int64_t uploads() const { return uploads_; }
  std::int64_t evictions() const { return evictions_; }
  /// Forgets the counts, not the content (what a plan loads beforehand is no upload).
  void reset_counts() { uploads_ = evictions_ = 0; }

  /// Keep a list of changes from now on (the live runtime needs it, a replay does not).
  void keep_changes(bool on) { keep_changes_ = on; }
  const std::vector<Change>& changes() const { return changes_; }
  void clear_changes() { changes_.clear(); }

 private:
  void place(ExpertIndex expert, std::int32_t slot, ExpertIndex victim);

  ExpertShape shape_;
  std::vector<std::int32_t> slots_;     // by expert, -1: absent
  std::vector<ExpertIndex> occupants_;  // by slot, -1: free
  std::vector<std::int32_t> free_;      // the lowest slot last
  std::vector<std::int32_t> used_in_layer_;
  std::vector<Change> changes_;
  std::int64_t uploads_ = 0, evictions_ = 0;
  bool keep_changes_ = false;
};

}  // namespace haq::experts
