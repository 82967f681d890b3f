// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "engine/quant/layers/layer_work.h"

namespace haq::quant {

/// Quantizes the feed-forward half of a layer: a dense network, or routed experts (one per thread
/// at a time) and the shared one. Returns the tensors and reports of the post-attention norm,
/// router and networks, and the tokens of each expert. Does not advance the state.
LayerOutput quantize_network(LayerWork& work);

}  // namespace haq::quant
