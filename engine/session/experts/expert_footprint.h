// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>

#include "engine/experts/shape.h"
#include "engine/model/config.h"

namespace haq::session {

/// The routed experts of a model as budgets and plans count them.
struct ExpertFootprint {
  experts::ExpertShape shape;  ///< all 0 for a dense model
  /// Of one expert in a slot of a device (device::SlotLayout): weights, scales, biases.
  std::int64_t int8_bytes = 0, bits16_bytes = 0;
};

ExpertFootprint expert_footprint(const model::ModelConfig& config);

}  // namespace haq::session
