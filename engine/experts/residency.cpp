// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/experts/residency.h"

#include "engine/base/error.h"

namespace haq::experts {

Residency::Residency(const ExpertShape& shape, int capacity)
    : shape_(shape),
      slots_(static_cast<std::size_t>(shape.total()), -1),
      used_in_layer_(static_cast<std::size_t>(shape.layers), 0) {
  if (capacity < 0 || capacity > shape.total()) {
    fail(ErrorCode::kInvalidArgument, "capacity of {} experts: expected 0 to {}", capacity,
         shape.total());
  }
  occupants_.assign(static_cast<std::size_t>(capacity), -1);
  free_.reserve(static_cast<std::size_t>(capacity));
  for (std::int32_t slot = capacity - 1; slot >= 0; --slot) free_.push_back(slot);
}

void Residency::admit(ExpertIndex expert) {
  if (free_.empty() || contains(expert)) {
    fail(ErrorCode::kInternal, "expert {} cannot be admitted: resident already or no free slot",
         expert);
  }
  const std::int32_t slot = free_.back();
  free_.pop_back();
  place(expert, slot, -1);
}

void Residency::replace(ExpertIndex victim, ExpertIndex expert) {
  const std::int32_t slot = slot_of(victim);
  if (slot < 0 || contains(expert)) {
    fail(ErrorCode::kInternal, "expert {} cannot take the place of {}", expert, victim);
  }
  slots_[static_cast<std::size_t>(victim)] = -1;
  --used_in_layer_[static_cast<std::size_t>(shape_.layer_of(victim))];
  ++evictions_;
  place(expert, slot, victim);
}

void Residency::place(ExpertIndex expert, std::int32_t slot, ExpertIndex victim) {
  slots_[static_cast<std::size_t>(expert)] = slot;
  occupants_[static_cast<std::size_t>(slot)] = expert;
  ++used_in_layer_[static_cast<std::size_t>(shape_.layer_of(expert))];
  ++uploads_;
  if (keep_changes_) changes_.push_back({expert, victim, slot});
}

}  // namespace haq::experts
