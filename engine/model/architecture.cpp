// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/model/architecture.h"

#include <initializer_list>

#include "engine/base/error.h"
#include "engine/model/config_readers.h"

namespace haq::model {
namespace {

using Modules = std::vector<ModuleName>;

Modules join(std::initializer_list<Modules> parts) {
  Modules all;
  for (const auto& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

Modules llama_body() {
  return {
      {Role::kEmbedding, false, "{p}embed_tokens"},
      {Role::kFinalNorm, false, "{p}norm"},
      {Role::kLmHead, false, "lm_head"},
      {Role::kInputNorm, false, "{p}layers.{l}.input_layernorm"},
      {Role::kPostAttentionNorm, false, "{p}layers.{l}.post_attention_layernorm"},
      {Role::kQ, false, "{p}layers.{l}.self_attn.q_proj"},
      {Role::kK, false, "{p}layers.{l}.self_attn.k_proj"},
      {Role::kV, false, "{p}layers.{l}.self_attn.v_proj"},
      {Role::kO, false, "{p}layers.{l}.self_attn.o_proj"},
  };
}

Modules qk_norms() {
  return {
      {Role::kQNorm, false, "{p}layers.{l}.self_attn.q_norm"},
      {Role::kKNorm, false, "{p}layers.{l}.self_attn.k_norm"},
  };
}

Modules dense_ffn() {
  return {
      {Role::kGate, false, "{p}layers.{l}.mlp.gate_proj"},
      {Role::kUp, false, "{p}layers.{l}.mlp.up_proj"},
      {Role::kDown, false, "{p}layers.{l}.mlp.down_proj"},
  };
}

/// Experts as separate modules below `block`, with the given names for gate, up and down.
Modules experts(const std::string& block, const std::string& gate, const std::string& up,
                const std::string& down) {
  const std::string base = "{p}layers.{l}." + block + ".experts.{e}.";
  return {
      {Role::kGate, true, base + gate},
      {Role::kUp, true, base + up},
      {Role::kDown, true, base + down},
  };
}

Modules mlp_experts() {
  return join({{{Role::kRouter, false, "{p}layers.{l}.mlp.gate"}},
               experts("mlp", "gate_proj", "up_proj", "down_proj")});
}

Modules mixtral_experts() {
  return join({{{Role::kRouter, false, "{p}layers.{l}.block_sparse_moe.gate"}},
               experts("block_sparse_moe", "w1", "w3", "w2")});
}

Modules shared_expert(const std::string& name) {
  const std::string base = "{p}layers.{l}.mlp." + name + ".";
  return {
      {Role::kSharedGate, false, base + "gate_proj"},
      {Role::kSharedUp, false, base + "up_proj"},
      {Role::kSharedDown, false, base + "down_proj"},
      {Role::kSharedExpertGate, false, "{p}layers.{l}.mlp.shared_expert_gate"},
  };
}

/// The published layout is fused; an int8 folder has the experts as separate modules, because the
/// compressed-tensors format knows two-dimensional weights only.
Modules granite_experts() {
  const std::string base = "{p}layers.{l}.block_sparse_moe.";
  return join({{{Role::kRouter, false, base + "router.layer"},
                {Role::kGate, true, base + "input_linear", Layout::kStackedGate},
                {Role::kUp, true, base + "input_linear", Layout::kStackedUp},
                {Role::kDown, true, base + "output_linear", Layout::kStacked}},
               experts("block_sparse_moe", "gate_proj", "up_proj", "down_proj")});
}

Modules gpt_oss_experts() {
  const std::string base = "{p}layers.{l}.mlp.";
  return join({{{Role::kSinks, false, "{p}layers.{l}.self_attn.sinks", Layout::kBare},
                {Role::kRouter, false, base + "router"},
                {Role::kGate, true, base + "experts.gate_up_proj", Layout::kInterleavedGate},
                {Role::kUp, true, base + "experts.gate_up_proj", Layout::kInterleavedUp},
                {Role::kDown, true, base + "experts.down_proj", Layout::kTransposed}},
               experts("mlp", "gate_proj", "up_proj", "down_proj")});
}

Modules mla() {
  return {
      {Role::kQA, false, "{p}layers.{l}.self_attn.q_a_proj"},
      {Role::kQANorm, false, "{p}layers.{l}.self_attn.q_a_layernorm"},
      {Role::kQB, false, "{p}layers.{l}.self_attn.q_b_proj"},
      {Role::kKvA, false, "{p}layers.{l}.self_attn.kv_a_proj_with_mqa"},
      {Role::kKvANorm, false, "{p}layers.{l}.self_attn.kv_a_layernorm"},
      {Role::kKvB, false, "{p}layers.{l}.self_attn.kv_b_proj"},
  };
}

Modules opt_modules() {
  return {
      {Role::kEmbedding, false, "{p}embed_tokens"},
      {Role::kPositionEmbedding, false, "{p}embed_positions"},
      {Role::kProjectIn, false, "{p}project_in"},
      {Role::kProjectOut, false, "{p}project_out"},
      {Role::kFinalNorm, false, "{p}final_layer_norm"},
      {Role::kLmHead, false, "lm_head"},
      {Role::kInputNorm, false, "{p}layers.{l}.self_attn_layer_norm"},
      {Role::kPostAttentionNorm, false, "{p}layers.{l}.final_layer_norm"},
      {Role::kQ, false, "{p}layers.{l}.self_attn.q_proj"},
      {Role::kK, false, "{p}layers.{l}.self_attn.k_proj"},
      {Role::kV, false, "{p}layers.{l}.self_attn.v_proj"},
      {Role::kO, false, "{p}layers.{l}.self_attn.out_proj"},
      {Role::kUp, false, "{p}layers.{l}.fc1"},
      {Role::kDown, false, "{p}layers.{l}.fc2"},
  };
}

const std::vector<Architecture>& table() {
  static const std::vector<Architecture> kTable = {
      {"llama",
       {"LlamaForCausalLM"},
       {"model."},
       join({llama_body(), dense_ffn()}),
       {"attention_bias", "mlp_bias"},
       read_llama},
      {"mistral",
       {"MistralForCausalLM"},
       {"model."},
       join({llama_body(), dense_ffn()}),
       {},
       read_mistral},
      {"mixtral",
       {"MixtralForCausalLM"},
       {"model."},
       join({llama_body(), mixtral_experts()}),
       {"num_experts", "num_local_experts"},
       read_mixtral},
      {"opt", {"OPTForCausalLM"}, {"model.decoder.", "decoder."}, opt_modules(), {}, read_opt},
      {"qwen2",
       {"Qwen2ForCausalLM"},
       {"model."},
       join({llama_body(), dense_ffn()}),
       {"layer_types"},
       read_qwen2},
      {"qwen3",
       {"Qwen3ForCausalLM"},
       {"model."},
       join({llama_body(), qk_norms(), dense_ffn()}),
       {"attention_bias", "layer_types"},
       read_qwen3},
      {"qwen2_moe",
       {"Qwen2MoeForCausalLM"},
       {"model."},
       join({llama_body(), dense_ffn(), mlp_experts(), shared_expert("shared_expert")}),
       {"num_experts", "num_local_experts", "shared_expert_intermediate_size", "qkv_bias",
        "layer_types"},
       read_qwen2_moe},
      {"qwen3_moe",
       {"Qwen3MoeForCausalLM"},
       {"model."},
       join({llama_body(), qk_norms(), dense_ffn(), mlp_experts()}),
       {"num_experts", "num_local_experts", "attention_bias"},
       read_qwen3_moe},
      {"olmoe",
       {"OlmoeForCausalLM"},
       {"model."},
       join({llama_body(), qk_norms(), mlp_experts()}),
       {"num_experts", "num_local_experts", "attention_bias", "clip_qkv"},
       read_olmoe},
      {"granitemoe",
       {"GraniteMoeForCausalLM"},
       {"model."},
       join({llama_body(), granite_experts()}),
       {"num_experts", "num_local_experts", "attention_bias", "attention_multiplier",
        "embedding_multiplier", "residual_multiplier", "logits_scaling"},
       read_granitemoe},
      {"phimoe",
       {"PhiMoEForCausalLM", "PhimoeForCausalLM"},
       {"model."},
       join({llama_body(), mixtral_experts()}),
       {"num_experts", "num_local_experts", "attention_bias", "lm_head_bias"},
       read_phimoe},
      {"gpt_oss",
       {"GptOssForCausalLM"},
       {"model."},
       join({llama_body(), gpt_oss_experts()}),
       {"num_experts", "num_local_experts", "attention_bias", "swiglu_alpha", "swiglu_limit",
        "layer_types"},
       read_gpt_oss},
      {"deepseek_v2",
       {"DeepseekV2ForCausalLM"},
       {"model."},
       join({llama_body(), mla(), dense_ffn(), mlp_experts(), shared_expert("shared_experts")}),
       {"n_routed_experts", "num_experts", "num_local_experts", "n_shared_experts", "kv_lora_rank",
        "q_lora_rank", "routed_scaling_factor"},
       read_deepseek_v2},
  };
  return kTable;
}

}  // namespace

const Architecture* find_architecture(std::string_view model_type) {
  for (const auto& architecture : table()) {
    if (architecture.model_type == model_type) return &architecture;
  }
  return nullptr;
}

std::string supported_model_types() {
  std::string list;
  for (const auto& architecture : table()) {
    list += (list.empty() ? "" : ", ") + architecture.model_type;
  }
  return list;
}

const std::string& separate_module(const Architecture& architecture, Role role, bool expert) {
  for (const auto& row : architecture.modules) {
    const bool separate = row.layout == Layout::kPlain || row.layout == Layout::kBare;
    if (row.role == role && row.expert == expert && separate) return row.pattern;
  }
  fail(ErrorCode::kInternal, "the architecture table of {} has no separate module for role {}",
       architecture.model_type, static_cast<int>(role));
}

std::string fill_pattern(std::string_view pattern, std::string_view prefix, int layer, int expert) {
  std::string name;
  name.reserve(pattern.size() + prefix.size() + 8);
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] != '{') {
      name += pattern[i];
      continue;
    }
    switch (pattern[i + 1]) {
      case 'p':
        name += prefix;
        break;
      case 'l':
        name += std::to_string(layer);
        break;
      default:
        name += std::to_string(expert);
        break;
    }
    i += 2;
  }
  return name;
}

}  // namespace haq::model
