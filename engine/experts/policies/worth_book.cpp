// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/experts/policies/worth_book.h"

#include <algorithm>

namespace haq::experts {

WorthBook::WorthBook(const ExpertShape& shape, const Pins& pins)
    : shape_(shape),
      pins_(pins),
      worth_(static_cast<std::size_t>(shape.total()), 0),
      weakest_(static_cast<std::size_t>(shape.layers), -1),
      in_use_(static_cast<std::size_t>(shape.experts), 0) {}

void WorthBook::begin(const Step& step, const Residency& residency) {
  const int before = protected_;
  std::fill(in_use_.begin(), in_use_.end(), std::uint8_t{0});
  for (const std::uint16_t expert : step.experts) in_use_[expert] = 1;
  protected_ = step.layer;
  if (before >= 0 && before != step.layer) update(before, residency);
}

void WorthBook::set(int layer, std::span<const float> worth, const Residency& residency) {
  std::copy(worth.begin(), worth.end(),
            worth_.begin() + static_cast<std::ptrdiff_t>(shape_.index(layer, 0)));
  update(layer, residency);
}

void WorthBook::update(int layer, const Residency& residency) {
  ExpertIndex weakest = -1;
  float lowest = 0;
  const ExpertIndex base = shape_.index(layer, 0);
  for (int number = 0; number < shape_.experts; ++number) {
    const ExpertIndex expert = base + number;
    if (!residency.contains(expert) || pins_.has(expert)) continue;
    if (layer == protected_ && in_use_[static_cast<std::size_t>(number)]) continue;
    if (weakest >= 0 && worth(expert) >= lowest) continue;
    weakest = expert;
    lowest = worth(expert);
  }
  weakest_[static_cast<std::size_t>(layer)] = weakest;
}

ExpertIndex WorthBook::weakest() const {
  ExpertIndex best = -1;
  for (const ExpertIndex expert : weakest_) {
    if (expert >= 0 && (best < 0 || worth(expert) < worth(best))) best = expert;
  }
  return best;
}

}  // namespace haq::experts
