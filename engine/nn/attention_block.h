// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "engine/nn/step.h"

namespace haq::nn {

/// Multi-head attention of one layer: projects x [T, hidden], normalises, clips and rotates queries
/// and keys as the configuration says, stores keys and values, attends per sequence over its cache,
/// and writes the output projection to `out` [T, hidden]. With a latent configuration (MLA) keys
/// and values are expanded per head before they are stored, so that the cache and the kernel are
/// the same.
void attention_block(const Step& step, const AttentionWeights& weights, int layer,
                     device::ConstRows x, device::Rows out);

}  // namespace haq::nn
