// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/base/tensor.h"
#include "engine/model/checkpoint.h"
#include "engine/quant/groups.h"
#include "engine/quant/report.h"

namespace haq::quant {

/// A tensor for the written folder.
struct OutputTensor {
  std::string name;  ///< full tensor name, "....weight"
  DType dtype = DType::kF32;
  std::vector<std::int64_t> shape;
  std::vector<std::byte> bytes;  ///< little-endian, row-major
};

/// One finished decoder layer, or (layer = -1) the tensors outside the layers.
struct LayerOutput {
  int layer = -1;
  std::vector<OutputTensor> tensors;
  std::vector<ModuleReport> modules;
  std::vector<ExpertReport> experts;
  std::int64_t router_choices = 0, router_equal = 0;  ///< top-k sets compared with the source's
};

/// One quantized layer seen as a checkpoint, so that the forward pass loads it like any other:
/// int8 linears come as kI8, the rest in float32. Serves the modules of this layer only. `config`
/// is the quantized model's; tensor names are those that source->quantized_name() gives.
std::shared_ptr<const model::Checkpoint> make_layer_checkpoint(
    std::shared_ptr<const model::Checkpoint> source, const model::ModelConfig& config,
    LayerOutput layer);

}  // namespace haq::quant
