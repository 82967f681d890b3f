// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/experts/policies/policy.h"
#include "engine/nn/decoder.h"

namespace haq::experts {

/// The choices of one step by expert, experts in order of first appearance (as in a trace). Memory
/// is kept from step to step.
class StepGroups {
 public:
  /// `experts`: of the layer. kInternal for ids outside.
  void group(const nn::RoutedStep& step, int experts);

  std::size_t size() const { return experts_.size(); }
  std::uint16_t expert(std::size_t group) const { return experts_[group]; }
  /// Tokens that chose the group's expert, ascending, and for each the row of its result.
  std::span<const std::int32_t> rows(std::size_t group) const { return part(rows_, group); }
  std::span<const std::int32_t> slots(std::size_t group) const { return part(slots_, group); }
  /// As policies see it; valid until the next group().
  Step step(int layer) const { return {layer, tokens_, experts_, counts_}; }

 private:
  std::span<const std::int32_t> part(const std::vector<std::int32_t>& all,
                                     std::size_t group) const {
    const auto first = static_cast<std::size_t>(first_[group]);
    return std::span(all).subspan(first, static_cast<std::size_t>(first_[group + 1]) - first);
  }

  int tokens_ = 0;
  std::vector<std::uint16_t> experts_, counts_;
  std::vector<std::int32_t> first_;         // by group, one more at the end
  std::vector<std::int32_t> rows_, slots_;  // of all groups
  std::vector<std::int32_t> place_;         // by expert: its group + 1; 0 outside of group()
};

}  // namespace haq::experts
