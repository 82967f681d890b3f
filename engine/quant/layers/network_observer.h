// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <vector>

#include "engine/quant/layers/input_statistics.h"
#include "engine/quant/layers/layer_work.h"

namespace haq::quant {

/// What the feed-forward half of a layer sees.
struct NetworkObservation {
  std::vector<std::int32_t> ids;      ///< [tokens, top_k] chosen experts; empty for a dense layer
  std::vector<std::int64_t> sampled;  ///< rows of the samples
  InputStatistics input;              ///< of the half's input; Hessian only if `network`
  InputStatistics inner;              ///< of the network's down projection; empty if not `network`
};

/// Carries the state through the norm, the router and, if `network`, through the network that every
/// token passes (the dense one or the shared expert), in float32. Does not advance it.
NetworkObservation observe_network(LayerWork& work, bool network);

/// down's input from gate's and up's output: out[i] = activation(gate[i], up[i]); as the runtime.
/// Without a gate (ReLU) pass up twice. `out` may be one of the inputs.
void activate(const model::ModelConfig& config, std::span<const float> gate,
              std::span<const float> up, std::span<float> out);

}  // namespace haq::quant
