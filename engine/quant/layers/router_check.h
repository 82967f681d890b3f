// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "engine/quant/layers/layer_work.h"

namespace haq::quant {

struct RouterAgreement {
  std::int64_t choices = 0;  ///< tokens looked at
  std::int64_t equal = 0;    ///< of them, with the same set of experts
};

/// Compares the router of the transformed model, as it is written, with the source's on a sample of
/// the state: both see the same tokens, each in its own basis, before anything of this half is
/// quantized.
RouterAgreement compare_routers(LayerWork& work);

}  // namespace haq::quant
