// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/model/checkpoint.h"

#include <algorithm>
#include <system_error>

#include "engine/base/error.h"
#include "engine/base/file.h"
#include "engine/model/folder_checkpoint.h"
#include "engine/model/head_copy.h"
#include "engine/model/modules.h"

namespace haq::model {
namespace {

constexpr std::int64_t kKvPageTokens = 64;
constexpr std::int64_t kPackedTile = 64;  ///< the GEMM library pads packed weights to at most this

std::int64_t round_up(std::int64_t value, std::int64_t step) {
  return (value + step - 1) / step * step;
}

/// Linears that go through the GEMM library and so may have a packed copy. Heads, tables, routers
/// and one-row gates run in kernels that read the checkpoint's form.
bool may_be_packed(const ModuleShape& module) {
  return is_quantizable(module.role) || module.role == Role::kProjectIn ||
         module.role == Role::kProjectOut;
}

/// Small or row-wise read matrices of a float16 file are widened to float32 instead of rounded.
bool stays_exact(const ModelConfig& config, Role role) {
  return role == Role::kRouter || role == Role::kPositionEmbedding ||
         (role == Role::kEmbedding && !config.tied_head);
}

/// Floats that the forward pass keeps for one row of a chunk: five rows of the residual width, q
/// and the attention result, k and v, the latent rows of MLA, router logits, and for each chosen
/// expert one output row and the FFN's inner rows.
std::int64_t activations_per_row(const ModelConfig& config) {
  int widest_ffn = 0;
  for (const auto& layer : config.layers) widest_ffn = std::max(widest_ffn, layer.ffn_width);
  const std::int64_t choices = std::max(config.top_k, 1);
  std::int64_t floats = 5LL * config.hidden + config.experts + 3LL * config.shared_width +
                        (std::int64_t{config.heads} + config.kv_heads) *
                            (std::int64_t{config.head_dim} + config.v_head_dim) +
                        choices * (config.hidden + 3LL * widest_ffn);
  if (config.mla) {
    const MlaConfig& mla = *config.mla;
    floats += mla.q_lora_rank + 2LL * mla.kv_lora_rank + mla.rope_dim +
              std::int64_t{config.heads} * (mla.nope_dim + mla.v_dim);
  }
  return floats;
}

}  // namespace

std::shared_ptr<const Checkpoint> Checkpoint::open(const std::filesystem::path& folder) {
  return std::make_shared<FolderCheckpoint>(folder);
}

std::string Checkpoint::precision() const {
  if (config_.quantized) return "w8a8";
  switch (weight_type_) {
    case DType::kF32:
      return "f32";
    case DType::kF16:
      return "f16";
    default:
      return "bf16";
  }
}

ParameterSummary Checkpoint::parameters() const {
  ParameterSummary summary;
  for_each_module(config_, [&](const ModuleShape& module) {
    const std::int64_t count = module.parameters();
    summary.total += count;
    summary.by_class[parameter_class(module)] += count;
    // A token runs through top_k of the experts; all have the same size.
    if (module.expert < config_.top_k) summary.active += count;
    if (is_quantizable(module.role)) {
      constexpr std::int64_t kScaleBytes = 4;
      summary.bytes8 +=
          module.weights() + module.rows * kScaleBytes + (module.bias ? 2 * module.rows : 0);
    } else {
      summary.bytes8 += 2 * count;
    }
  });
  summary.bytes16 = 2 * summary.total;
  for (int layer = 0; layer < config_.layer_count() && summary.expert_parameters == 0; ++layer) {
    for (const Role role : {Role::kGate, Role::kUp, Role::kDown}) {
      if (const auto module = module_shape(config_, role, layer, 0)) {
        summary.expert_parameters += module->parameters();
      }
    }
  }
  return summary;
}

MemoryEstimate Checkpoint::memory(std::int64_t context, bool fp32_mode, int prefill_chunk) const {
  if (context < 1 || prefill_chunk < 1) {
    fail(ErrorCode::kInvalidArgument, "context and prefill chunk must be at least 1, not {} and {}",
         context, prefill_chunk);
  }
  context = std::min(context, config_.max_positions);
  // A float32 file is computed in float32 anyway.
  const bool exact = fp32_mode || (!config_.quantized && weight_type_ == DType::kF32);
  MemoryEstimate estimate;
  estimate.weights = weight_bytes_;
  for_each_module(config_, [&](const ModuleShape& module) {
    constexpr std::int64_t kWidening = 2;  // float16 has no kernels: bf16 instead, or float32
    if (weight_type_ == DType::kF16 && (exact || stays_exact(config_, module.role))) {
      estimate.weights += module.weights() * kWidening;
    }
    if (!exact && !config_.quantized && may_be_packed(module)) {
      estimate.packed +=
          2 * round_up(module.rows, kPackedTile) * round_up(module.cols, kPackedTile);
    }
  });
  const std::int64_t head = std::int64_t{config_.vocab} * config_.embed_dim;
  if (head * (exact ? 4 : 2) >= kSearchedHeadBytes) {
    constexpr std::int64_t kRowBytes = 3 * 4;  // a scale and two bounds of its errors
    estimate.packed += head + config_.vocab * kRowBytes;
  }
  const std::int64_t kv_width =
      std::int64_t{config_.kv_heads} * (config_.head_dim + config_.v_head_dim);
  estimate.kv_cache =
      round_up(context, kKvPageTokens) * kv_width * config_.layer_count() * (exact ? 4 : 2);
  const std::int64_t rows = std::min<std::int64_t>(prefill_chunk, context);
  estimate.buffers = 4 * (rows * activations_per_row(config_) + config_.vocab);
  return estimate;
}

std::filesystem::path demo_model_dir() {
  return resource_dir() / "models/demo-moe";
}

std::filesystem::path demo_sample_text() {
  std::error_code ignored;
  const std::filesystem::path file = demo_model_dir() / "samples.txt";
  return std::filesystem::is_regular_file(file, ignored) ? file : std::filesystem::path();
}

}  // namespace haq::model
