// SPDX-License-Identifier: GPL-3.0-or-later
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>

#include "engine/base/error.h"
#include "engine/nn/weights.h"

namespace haq::nn {
namespace {

using device::LinearPath;
using model::Role;

/// DeepSeek's norms inside the latent projections do not follow the model's epsilon.
constexpr float kLatentNormEps = 1e-6F;

HostMatrix round_to_bf16(const HostMatrix& matrix) {
  const auto count = static_cast<std::size_t>(matrix.rows * matrix.cols);
  auto values = std::make_shared<std::vector<BFloat16>>(count);
  for (std::size_t i = 0; i < count; ++i) {
    float value = 0;
    std::memcpy(&value, matrix.data + i * sizeof(float), sizeof(float));
    (*values)[i] = to_bf16(value);
  }
  HostMatrix result;
  result.dtype = DType::kBF16;
  result.rows = matrix.rows;
  result.cols = matrix.cols;
  result.data = reinterpret_cast<const std::byte*>(values->data());
  result.owner = std::move(values);
  return result;
}

/// Linears whose result decides a choice (router), feeds one (head) or that are looked up by row:
/// their sums run in the fixed order in every mode.
bool always_fixed_order(Role role) {
  return role == Role::kEmbedding || role == Role::kPositionEmbedding || role == Role::kLmHead ||
         role == Role::kRouter || role == Role::kSharedExpertGate;
}

class Loader {
 public:
  Loader(const model::Checkpoint& checkpoint, device::Device& device, const ComputePlan& plan,
         const ProgressCallback& progress, const CancelToken& cancel)
      : checkpoint_(checkpoint),
        config_(checkpoint.config()),
        device_(device),
        plan_(plan),
        progress_(progress),
        cancel_(cancel) {
    if (!progress) return;  // only reports need the totals
    const model::ParameterSummary parameters = checkpoint.parameters();
    total_bytes_ = static_cast<std::uint64_t>(plan.int8 ? parameters.bytes8 : parameters.bytes16);
    if (checkpoint.precision() == "f32") total_bytes_ *= 2;
  }

  DecoderWeights load() {
    DecoderWeights weights;
    load_table(weights);
    weights.layers.reserve(config_.layers.size());
    for (int layer = 0; layer < config_.layer_count(); ++layer) {
      weights.layers.push_back(load_layer(layer, LayerPart::kAll));
    }
    load_head(weights);
    report(total_bytes_);
    weights.stats = stats_;
    return weights;
  }

  DecoderWeights load_ends() {
    DecoderWeights weights;
    load_table(weights);
    load_head(weights);
    weights.stats = stats_;
    return weights;
  }

  LayerWeights load_layer(int layer, LayerPart part) {
    LayerWeights weights;
    if (part == LayerPart::kAll || part == LayerPart::kAttention) {
      weights.input_norm = norm(Role::kInputNorm, layer);
      load_attention(layer, weights.attention);
    }
    if (part != LayerPart::kAttention) {
      weights.post_attention_norm = norm(Role::kPostAttentionNorm, layer);
      load_ffn(layer, part != LayerPart::kFfnWithoutExperts, weights);
    }
    return weights;
  }

 private:
  void load_table(DecoderWeights& weights) {
    weights.embedding = linear(Role::kEmbedding, -1, -1, 0);
    stats_.weight_bytes_per_token +=
        weights.embedding->weight_bytes() / static_cast<std::size_t>(weights.embedding->out());
    if (config_.learned_positions) weights.positions = linear(Role::kPositionEmbedding, -1, -1, 0);
    if (checkpoint_.has(Role::kProjectIn)) weights.project_in = linear(Role::kProjectIn);
  }

  void load_head(DecoderWeights& weights) {
    if (config_.final_norm) weights.final_norm = norm(Role::kFinalNorm, -1);
    if (checkpoint_.has(Role::kProjectOut)) weights.project_out = linear(Role::kProjectOut);
    if (config_.tied_head) {
      checkpoint_.linear(Role::kLmHead);  // refuses a file whose own head is not the embedding
      weights.head = weights.embedding;
      stats_.weight_bytes_per_token += weights.head->weight_bytes();
    } else {
      weights.head = linear(Role::kLmHead);
    }
  }

  void load_ffn(int layer, bool with_experts, LayerWeights& weights) {
    if (!config_.layers[static_cast<std::size_t>(layer)].moe) {
      weights.dense = ffn(Role::kGate, Role::kUp, Role::kDown, layer, -1, 1);
      return;
    }
    weights.router = linear(Role::kRouter, layer);
    const double share = static_cast<double>(config_.top_k) / config_.experts;
    const int experts = with_experts ? config_.experts : 0;
    weights.experts.reserve(static_cast<std::size_t>(experts));
    for (int expert = 0; expert < experts; ++expert) {
      weights.experts.push_back(ffn(Role::kGate, Role::kUp, Role::kDown, layer, expert, share));
    }
    if (config_.shared_width > 0) {
      weights.shared = ffn(Role::kSharedGate, Role::kSharedUp, Role::kSharedDown, layer, -1, 1);
      if (config_.shared_gate) weights.shared_gate = linear(Role::kSharedExpertGate, layer);
    }
  }

  void load_attention(int layer, AttentionWeights& weights) {
    if (config_.mla) {
      if (config_.mla->q_lora_rank > 0) {
        weights.q_a = linear(Role::kQA, layer);
        weights.q_a_norm = norm(Role::kQANorm, layer, kLatentNormEps);
        weights.q_b = linear(Role::kQB, layer);
      } else {
        weights.q = linear(Role::kQ, layer);
      }
      weights.kv_a = linear(Role::kKvA, layer);
      weights.kv_a_norm = norm(Role::kKvANorm, layer, kLatentNormEps);
      weights.kv_b = linear(Role::kKvB, layer);
    } else {
      weights.q = linear(Role::kQ, layer);
      weights.k = linear(Role::kK, layer);
      weights.v = linear(Role::kV, layer);
    }
    if (config_.qk_norm != model::QkNorm::kNone) {
      weights.q_norm = norm(Role::kQNorm, layer);
      weights.k_norm = norm(Role::kKNorm, layer);
    }
    if (config_.attention_sinks) weights.sinks = upload(checkpoint_.vector(Role::kSinks, layer));
    weights.o = linear(Role::kO, layer);
  }

  device::FfnSpec ffn(Role gate, Role up, Role down, int layer, int expert, double share) {
    device::FfnSpec spec;
    switch (config_.ffn) {
      case model::FfnKind::kSwiGlu:
        spec.activation = device::Activation::kSwiGlu;
        break;
      case model::FfnKind::kRelu:
        spec.activation = device::Activation::kRelu;
        break;
      case model::FfnKind::kGptOss:
        spec.activation = device::Activation::kGptOss;
        break;
    }
    spec.limit = config_.swiglu_limit;
    if (config_.ffn != model::FfnKind::kRelu) spec.gate = linear(gate, layer, expert, share);
    spec.up = linear(up, layer, expert, share);
    spec.down = linear(down, layer, expert, share);
    return spec;
  }

  /// `share`: how much of the matrix one decoded token reads on average.
  LinearPtr linear(Role role, int layer = -1, int expert = -1, double share = 1) {
    cancel_.check();
    const DType f16_target = widen_half(role) ? DType::kF32 : DType::kBF16;
    LinearWeights weights = checkpoint_.linear(role, layer, expert, f16_target);
    LinearPath path = LinearPath::kFixedOrder;
    if (weights.weight.dtype == DType::kI8) {
      path = LinearPath::kInt8;
    } else if (plan_.compute == Compute::kBf16 && !plan_.int8 && !always_fixed_order(role)) {
      path = LinearPath::kLibrary16;
      if (weights.weight.dtype == DType::kF32) weights.weight = round_to_bf16(weights.weight);
    }
    const std::size_t bytes = weights.weight.bytes();
    (weights.weight.mapped ? stats_.mapped_bytes : stats_.owned_bytes) += bytes;
    LinearPtr result = device_.prepare(weights, path, checkpoint_.module_name(role, layer, expert));
    stats_.weight_bytes_per_token +=
        static_cast<std::size_t>(share * static_cast<double>(result->weight_bytes()));
    report(done_bytes_ + bytes);
    return result;
  }

  /// F16 files become bf16, which has 3 bits less. Where a matrix is small or read by row, widening
  /// it costs nothing that matters and spares the routers that noise: tokens near a tie of two
  /// experts keep their choice.
  bool widen_half(Role role) const {
    if (plan_.compute == Compute::kFp32) return true;
    const bool by_row = role == Role::kEmbedding && !config_.tied_head;
    return by_row || role == Role::kPositionEmbedding || role == Role::kRouter;
  }

  std::unique_ptr<device::Buffer> upload(const std::vector<float>& values) {
    const std::size_t bytes = values.size() * sizeof(float);
    std::unique_ptr<device::Buffer> buffer = device_.allocate(bytes);
    device_.copy_to_device(buffer->data(), values.data(), bytes);
    stats_.owned_bytes += bytes;
    stats_.weight_bytes_per_token += bytes;
    return buffer;
  }

  Norm norm(Role role, int layer) {
    return norm(role, layer, static_cast<float>(config_.norm_eps));
  }

  Norm norm(Role role, int layer, float eps) {
    Norm result;
    result.kind = config_.norm;
    result.eps = eps;
    result.weight = upload(checkpoint_.vector(role, layer));
    if (const std::vector<float> bias = checkpoint_.norm_bias(role, layer); !bias.empty()) {
      result.bias = upload(bias);
    }
    return result;
  }

  void report(std::uint64_t done) {
    done_bytes_ = done;
    if (!progress_) return;
    progress_({"reading weights", std::min(done_bytes_, total_bytes_), total_bytes_, "bytes"});
  }

  const model::Checkpoint& checkpoint_;
  const model::ModelConfig& config_;
  device::Device& device_;
  ComputePlan plan_;
  const ProgressCallback progress_;
  const CancelToken cancel_;
  DecoderStats stats_;
  std::uint64_t done_bytes_ = 0, total_bytes_ = 0;
};

}  // namespace

void apply_norm(device::Device& device, const Norm& norm, device::ConstRows x, device::Rows out) {
  const auto* weight = static_cast<const float*>(norm.weight->data());
  if (norm.kind == model::NormKind::kRms) {
    device.rms_norm(x, weight, norm.eps, out);
    return;
  }
  const float* bias = norm.bias ? static_cast<const float*>(norm.bias->data()) : nullptr;
  device.layer_norm(x, weight, bias, norm.eps, out);
}

std::size_t packed_bytes(const DecoderWeights& weights) {
  std::size_t bytes = 0;
  const auto add = [&](const LinearPtr& linear) { bytes += linear ? linear->packed_bytes() : 0; };
  const auto add_ffn = [&](const device::FfnSpec& ffn) {
    for (const LinearPtr& linear : {ffn.gate, ffn.up, ffn.down}) add(linear);
  };
  for (const LinearPtr& linear :
       {weights.embedding, weights.positions, weights.project_in, weights.project_out}) {
    add(linear);
  }
  if (weights.head != weights.embedding) add(weights.head);
  for (const LayerWeights& layer : weights.layers) {
    const AttentionWeights& attention = layer.attention;
    for (const LinearPtr& linear :
         {attention.q, attention.k, attention.v, attention.o, attention.q_a, attention.q_b,
          attention.kv_a, attention.kv_b, layer.router, layer.shared_gate}) {
      add(linear);
    }
    add_ffn(layer.dense);
    add_ffn(layer.shared);
    for (const device::FfnSpec& expert : layer.experts) add_ffn(expert);
  }
  return bytes;
}

ComputePlan plan_compute(const model::Checkpoint& checkpoint, Compute wanted) {
  ComputePlan plan;
  plan.int8 = checkpoint.config().quantized;
  if (plan.int8 && wanted == Compute::kFp32) {
    throw Error(ErrorCode::kInvalidArgument,
                checkpoint.name() +
                    ": the fp32 checking mode is for unquantized models; this one "
                    "holds int8 weights",
                "Use --compute auto; an int8 model gives the same bits everywhere.");
  }
  plan.compute = wanted;
  if (wanted == Compute::kAuto) {
    const bool exact = !plan.int8 && checkpoint.precision() == "f32";
    plan.compute = exact ? Compute::kFp32 : Compute::kBf16;
  }
  return plan;
}

DecoderWeights load_weights(const model::Checkpoint& checkpoint, device::Device& device,
                            const ComputePlan& plan, const ProgressCallback& progress,
                            const CancelToken& cancel) {
  return Loader(checkpoint, device, plan, progress, cancel).load();
}

LayerWeights load_layer(const model::Checkpoint& checkpoint, device::Device& device,
                        const ComputePlan& plan, int layer, LayerPart part,
                        const CancelToken& cancel) {
  return Loader(checkpoint, device, plan, {}, cancel).load_layer(layer, part);
}

DecoderWeights load_ends(const model::Checkpoint& checkpoint, device::Device& device,
                         const ComputePlan& plan, const CancelToken& cancel) {
  return Loader(checkpoint, device, plan, {}, cancel).load_ends();
}

}  // namespace haq::nn
