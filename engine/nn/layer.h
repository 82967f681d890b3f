// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "engine/nn/ffn_block.h"
#include "engine/nn/step.h"

/// The two halves of a decoder layer. Each adds its block's output to the residual stream in
/// Workspace::kResidual; norms come before the block or after the addition, as the configuration
/// says.
namespace haq::nn {

void attention_half(const Step& step, const LayerWeights& weights, int layer);
void ffn_half(const Step& step, const LayerWeights& weights, int layer, FfnBlock& ffn,
              const Observer* observer);

}  // namespace haq::nn
