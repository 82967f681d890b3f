// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "engine/quant/layers/module_quantizer.h"

namespace haq::quant {

/// Quantizes the attention half of a layer: watches what its linears read while the state passes
/// through it in float32, smooths, rounds. Returns the tensors and reports of the input norm and
/// all attention modules. Does not advance the state.
LayerOutput quantize_attention(LayerWork& work);

}  // namespace haq::quant
