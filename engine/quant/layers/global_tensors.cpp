// SPDX-License-Identifier: GPL-3.0-or-later
#include <iterator>

#include "engine/model/modules.h"
#include "engine/quant/layers/layer_pipeline.h"
#include "engine/quant/layers/module_quantizer.h"

namespace haq::quant {
LayerOutput global_tensors(const TransformedCheckpoint& model) {
  LayerOutput output;
  model::for_each_module(model.config(), [&](const model::ModuleShape& shape) {
    if (shape.layer >= 0) return;
    std::vector<OutputTensor> tensors =
        plain_tensors(model, {shape.role, shape.layer, shape.expert});
    std::move(tensors.begin(), tensors.end(), std::back_inserter(output.tensors));
  });
  return output;
}

}  // namespace haq::quant
