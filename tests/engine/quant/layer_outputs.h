// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/model/checkpoint.h"
#include "engine/quant/folder/layer_output.h"

namespace haq::test {

/// A 16-bit model as a quantizer would hand it on, layer by layer: linears rounded plainly, the
/// rest as it is, names those of a written folder. `globals` has layer -1.
struct PlainOutputs {
  std::shared_ptr<const model::Checkpoint> source;
  std::vector<quant::LayerOutput> layers;
  quant::LayerOutput globals;
  std::vector<std::string> ignore;  ///< linears that were left in 16 bits

  const quant::LayerOutput& layer(int index) const {
    return index < 0 ? globals : layers[static_cast<std::size_t>(index)];
  }
  int count() const { return static_cast<int>(layers.size()); }
};
PlainOutputs plain_outputs(std::shared_ptr<const model::Checkpoint> source);

}  // namespace haq::test
