// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/nn/layer.h"

#include "engine/nn/attention_block.h"

namespace haq::nn {

using device::Rows;

void attention_half(const Step& step, const LayerWeights& weights, int layer) {
  const Rows residual = step.rows(Workspace::kResidual);
  const Rows branch = step.rows(Workspace::kBranch);
  const float multiplier = step.config.residual_multiplier;
  if (step.config.norm_before) {
    const Rows normed = step.rows(Workspace::kNormed);
    apply_norm(step.device, weights.input_norm, residual, normed);
    attention_block(step, weights.attention, layer, normed, branch);
    step.device.add_scaled(residual, branch, multiplier);
  } else {
    attention_block(step, weights.attention, layer, residual, branch);
    step.device.add_scaled(residual, branch, multiplier);
    apply_norm(step.device, weights.input_norm, residual, residual);
  }
}

void ffn_half(const Step& step, const LayerWeights& weights, int layer, FfnBlock& ffn,
              const Observer* observer) {
  const Rows residual = step.rows(Workspace::kResidual);
  const Rows branch = step.rows(Workspace::kBranch);
  const float multiplier = step.config.residual_multiplier;
  if (step.config.norm_before) {
    const Rows normed = step.rows(Workspace::kNormed);
    apply_norm(step.device, weights.post_attention_norm, residual, normed);
    ffn.run(step, weights, layer, normed, branch, observer);
    step.device.add_scaled(residual, branch, multiplier);
  } else {
    ffn.run(step, weights, layer, residual, branch, observer);
    step.device.add_scaled(residual, branch, multiplier);
    apply_norm(step.device, weights.post_attention_norm, residual, residual);
  }
}

}  // namespace haq::nn
