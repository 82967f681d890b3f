// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/session/experts/expert_footprint.h"

#include "engine/device/slots.h"

namespace haq::session {

ExpertFootprint expert_footprint(const model::ModelConfig& config) {
  ExpertFootprint found;
  if (config.experts == 0) return found;
  device::SlotLayout layout;
  layout.hidden = config.hidden;
  layout.gate = config.ffn != model::FfnKind::kRelu;
  layout.bias = config.ffn_bias;
  for (const model::LayerConfig& layer : config.layers) {
    if (!layer.moe) continue;
    ++found.shape.layers;
    layout.inner = layer.ffn_width;
  }
  if (found.shape.layers == 0) return found;
  found.shape.experts = config.experts;
  found.shape.top_k = config.top_k;
  layout.path = device::LinearPath::kInt8;
  layout.dtype = DType::kI8;
  found.int8_bytes = static_cast<std::int64_t>(layout.bytes());
  layout.path = device::LinearPath::kFixedOrder;
  layout.dtype = DType::kBF16;
  found.bits16_bytes = static_cast<std::int64_t>(layout.bytes());
  return found;
}

}  // namespace haq::session
