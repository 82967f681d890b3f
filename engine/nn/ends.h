// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/nn/step.h"

/// The two ends of the forward pass: what comes before the first and after the last layer.
namespace haq::nn {

/// OPT looks its position table up at position + 2.
inline constexpr std::int64_t kPositionOffset = 2;

/// Writes the embedded tokens of the step's segments to Workspace::kResidual. `positions` is
/// scratch memory.
void embed_tokens(const Step& step, const DecoderWeights& weights,
                  std::span<const std::int32_t> ids, std::vector<std::int32_t>& positions);

/// What enters lm_head for these rows of the residual stream; `normed` receives the final norm and
/// may be `residual` itself.
device::Rows head_input(const Step& step, const DecoderWeights& weights,
                        const device::Rows& residual, const device::Rows& normed);

}  // namespace haq::nn
