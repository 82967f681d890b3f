// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <span>

#include "engine/base/progress.h"
#include "engine/nn/decoder.h"
#include "engine/nn/weights.h"
#include "engine/nn/workspace.h"

namespace haq::nn {

/// One sequence's share of a step: rows [first_row, first_row + rows) of every activation.
struct StepSegment {
  device::KvCache* cache = nullptr;
  std::int64_t first_row = 0, rows = 0;
  std::int64_t first_position = 0;
  device::RotaryTable rotary;  ///< dim 0: no rotary embedding
};

/// What the blocks of a layer need to know of the running step.
struct Step {
  device::Device& device;
  const model::ModelConfig& config;
  const Workspace& workspace;
  std::span<const StepSegment> segments;
  std::int64_t tokens = 0;
  bool decode = false;  ///< see RoutedStep
  const CancelToken* cancel = nullptr;

  device::Rows rows(Workspace::Slot slot) const { return workspace.rows(slot, tokens); }
};

/// Rows [first, first + count) of a view.
inline device::Rows row_range(const device::Rows& view, std::int64_t first, std::int64_t count) {
  return {view.data + first * view.stride, count, view.cols, view.stride};
}

}  // namespace haq::nn
