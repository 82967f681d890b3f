// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <span>
#include <vector>

#include "engine/base/progress.h"
#include "engine/base/threads.h"
#include "engine/quant/arithmetic/smoothing.h"

namespace haq::quant {

struct SmoothingErrors {
  double signal = 0;           ///< Σ weight * ‖x Wᵀ‖²
  std::vector<double> errors;  ///< per scale: Σ weight * ‖x Wᵀ - Q(x/s) Q(W s)ᵀ‖²
};

/// What each scale [channels] costs these readers, on the runtime's integer path. Parallel over
/// readers and scales, summed in fixed order. Throws kCancelled, kNumeric.
SmoothingErrors smoothing_errors(std::span<const SmoothingReader> readers,
                                 std::span<const std::vector<float>> scales, ThreadPool& pool,
                                 const CancelToken& cancel);

}  // namespace haq::quant
