// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/base/tensor.h"
#include "engine/model/checkpoint.h"
#include "engine/quant/report/report.h"
#include "engine/quant/transform/groups.h"

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

/// One quantized layer seen as a checkpoint, so that the forward pass loads it like any other and
/// computes what it will compute with the written folder: int8 linears come as kI8, 16-bit ones as
/// a folder gives them. Serves the modules of this layer only. `config` is the quantized model's;
/// tensor names are those of storage.h. Checks that every module of the layer is there with its
/// type and shape (kNotFound, kCorrupt), on access that scales and biases are finite (kNumeric).
std::shared_ptr<const model::Checkpoint> make_layer_checkpoint(
    std::shared_ptr<const model::Checkpoint> source, const model::ModelConfig& config,
    LayerOutput layer);
/// The same over some of a layer's tensors, which it shares: what is not there is only missed when
/// it is asked for.
std::shared_ptr<const model::Checkpoint> make_part_checkpoint(
    std::shared_ptr<const model::Checkpoint> source, const model::ModelConfig& config,
    std::shared_ptr<const LayerOutput> part);

}  // namespace haq::quant
