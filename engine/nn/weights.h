// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "engine/base/progress.h"
#include "engine/device/device.h"
#include "engine/model/checkpoint.h"
#include "engine/nn/decoder.h"

namespace haq::nn {

using LinearPtr = std::shared_ptr<const device::Linear>;

/// A normalisation; empty() for models that have none at this place.
struct Norm {
  model::NormKind kind = model::NormKind::kRms;
  float eps = 0;
  std::unique_ptr<device::Buffer> weight, bias;  ///< bias: only for kLayer, may be null
  bool empty() const { return weight == nullptr; }
};

/// out = norm(x) per row; in place allowed.
void apply_norm(device::Device& device, const Norm& norm, device::ConstRows x, device::Rows out);

/// The linears of one attention block. With a latent (MLA) q_a, q_b, kv_a, kv_b take the place of
/// q, k and v; q stays when the model has no low-rank query.
struct AttentionWeights {
  LinearPtr q, k, v, o;
  Norm q_norm, k_norm;
  std::unique_ptr<device::Buffer> sinks;
  LinearPtr q_a, q_b, kv_a, kv_b;
  Norm q_a_norm, kv_a_norm;
};

struct LayerWeights {
  Norm input_norm, post_attention_norm;
  AttentionWeights attention;
  device::FfnSpec dense;                 ///< layers without routing
  LinearPtr router;                      ///< null in layers without routing
  std::vector<device::FfnSpec> experts;  ///< by expert index
  device::FfnSpec shared;                ///< `up` null: none
  LinearPtr shared_gate;                 ///< null: the shared expert is added as it is
};

/// All weights of a model on one device.
struct DecoderWeights {
  LinearPtr embedding, positions, project_in, project_out;
  std::vector<LayerWeights> layers;
  Norm final_norm;
  LinearPtr head;
  DecoderStats stats;  ///< but for packed_bytes, see below
};

/// Bytes of copies that the device has packed so far; a device may pack a matrix when it first needs it.
std::size_t packed_bytes(const DecoderWeights& weights);

/// How the linears of a model are computed (decided once, from DecoderOptions and the checkpoint).
struct ComputePlan {
  Compute compute = Compute::kBf16;  ///< never kAuto
  bool int8 = false;                 ///< the folder holds int8 linears
};

/// Resolves kAuto. Throws kInvalidArgument for fp32 on a quantized folder: its weights have no
/// 32-bit form that would check anything.
ComputePlan plan_compute(const model::Checkpoint& checkpoint, Compute wanted);

/// Reads the weights layer by layer. Reports bytes; `cancel` is looked at between matrices.
DecoderWeights load_weights(const model::Checkpoint& checkpoint, device::Device& device,
                            const ComputePlan& plan, const ProgressCallback& progress,
                            const CancelToken& cancel);

/// Parts of a layer that can be loaded alone: a norm with its block, with or without the routed
/// experts.
enum class LayerPart { kAll, kAttention, kFfn, kFfnWithoutExperts };

/// The weights of one layer, or of one half of it (the rest stays empty). For work that goes through
/// a model layer by layer.
LayerWeights load_layer(const model::Checkpoint& checkpoint, device::Device& device,
                        const ComputePlan& plan, int layer, LayerPart part,
                        const CancelToken& cancel = {});

/// Everything but the layers, which stay empty.
DecoderWeights load_ends(const model::Checkpoint& checkpoint, device::Device& device,
                         const ComputePlan& plan, const CancelToken& cancel = {});

}  // namespace haq::nn
