// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/nn/ends.h"

#include <array>

namespace haq::nn {

using device::Rows;
using LinearCall = device::Device::LinearCall;

void embed_tokens(const Step& step, const DecoderWeights& weights,
                  std::span<const std::int32_t> ids, std::vector<std::int32_t>& positions) {
  const Rows residual = step.rows(Workspace::kResidual);
  const float multiplier = step.config.embedding_multiplier;
  if (weights.project_in) {
    const Rows embedded = step.rows(Workspace::kEmbed);
    step.device.embed(*weights.embedding, ids, multiplier, embedded);
    const std::array<LinearCall, 1> call{LinearCall{weights.project_in.get(), residual}};
    step.device.linear(embedded, call);
  } else {
    step.device.embed(*weights.embedding, ids, multiplier, residual);
  }
  if (!weights.positions) return;
  positions.clear();
  for (const StepSegment& segment : step.segments) {
    for (std::int64_t row = 0; row < segment.rows; ++row) {
      positions.push_back(
          static_cast<std::int32_t>(segment.first_position + row + kPositionOffset));
    }
  }
  const Rows branch = step.rows(Workspace::kBranch);
  step.device.embed(*weights.positions, positions, 1, branch);
  step.device.add_scaled(residual, branch, 1);
}

Rows head_input(const Step& step, const DecoderWeights& weights, const Rows& residual,
                const Rows& normed) {
  Rows input = residual;
  if (!weights.final_norm.empty()) {
    apply_norm(step.device, weights.final_norm, residual, normed);
    input = normed;
  }
  if (!weights.project_out) return input;
  const Rows projected = step.workspace.rows(Workspace::kEmbed, input.rows);
  const std::array<LinearCall, 1> call{LinearCall{weights.project_out.get(), projected}};
  step.device.linear(input, call);
  return projected;
}

}  // namespace haq::nn
