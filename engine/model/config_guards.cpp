// SPDX-License-Identifier: GPL-3.0-or-later
#include <algorithm>
#include <array>

#include "engine/model/config_readers.h"

namespace haq::model {
namespace {

/// The value that makes a field harmless.
enum class Neutral { kNull, kFalse, kZero, kOne };

struct Guard {
  const char* field;
  Neutral neutral;
};

/// Fields with which published architectures change the forward pass. One that an architecture does
/// not handle must be absent or neutral. Everything else in a config (training settings, names,
/// dropout, token ids ...) cannot change inference and is ignored.
constexpr std::array<Guard, 39> kGuards = {{
    {"attention_bias", Neutral::kFalse},
    {"mlp_bias", Neutral::kFalse},
    {"lm_head_bias", Neutral::kFalse},
    {"use_bias", Neutral::kFalse},
    {"clip_qkv", Neutral::kNull},
    {"attn_logit_softcapping", Neutral::kNull},
    {"final_logit_softcapping", Neutral::kNull},
    {"attn_logit_softcap", Neutral::kNull},
    {"query_pre_attn_scalar", Neutral::kNull},
    {"attention_multiplier", Neutral::kNull},
    {"embedding_multiplier", Neutral::kOne},
    {"residual_multiplier", Neutral::kOne},
    {"logits_scaling", Neutral::kOne},
    {"logit_scale", Neutral::kOne},
    {"scale_emb", Neutral::kOne},
    {"scale_depth", Neutral::kOne},
    {"partial_rotary_factor", Neutral::kOne},
    {"rotary_pct", Neutral::kOne},
    {"no_rope_layers", Neutral::kNull},
    {"attention_chunk_size", Neutral::kNull},
    {"alibi", Neutral::kFalse},
    {"is_encoder_decoder", Neutral::kFalse},
    {"parallel_attn", Neutral::kFalse},
    {"use_parallel_residual", Neutral::kFalse},
    {"use_qk_norm", Neutral::kFalse},
    {"qk_layernorm", Neutral::kFalse},
    {"attn_output_gate", Neutral::kFalse},
    {"add_cross_attention", Neutral::kFalse},
    {"num_local_experts", Neutral::kZero},
    {"num_experts", Neutral::kZero},
    {"n_routed_experts", Neutral::kZero},
    {"n_shared_experts", Neutral::kZero},
    {"shared_intermediate_size", Neutral::kZero},
    {"shared_expert_intermediate_size", Neutral::kZero},
    {"routed_scaling_factor", Neutral::kOne},
    {"kv_lora_rank", Neutral::kNull},
    {"q_lora_rank", Neutral::kNull},
    {"swiglu_alpha", Neutral::kNull},
    {"swiglu_limit", Neutral::kNull},
}};

bool is_neutral(const nlohmann::json& value, Neutral neutral) {
  switch (neutral) {
    case Neutral::kNull:
      return false;
    case Neutral::kFalse:
      return value.is_boolean() && !value.get<bool>();
    case Neutral::kZero:
      return value.is_number() && value.get<double>() == 0;
    case Neutral::kOne:
      return value.is_number() && value.get<double>() == 1;
  }
  return false;
}

const char* name_of(Neutral neutral) {
  switch (neutral) {
    case Neutral::kNull:
      return "no such field";
    case Neutral::kFalse:
      return "false";
    case Neutral::kZero:
      return "0";
    case Neutral::kOne:
      return "1";
  }
  return "";
}

}  // namespace

void check_unhandled_fields(const Fields& fields, const ModelConfig& config,
                            const std::vector<std::string>& handled) {
  for (const auto& guard : kGuards) {
    const nlohmann::json* value = fields.find(guard.field);
    if (value == nullptr || is_neutral(*value, guard.neutral)) continue;
    if (std::find(handled.begin(), handled.end(), guard.field) != handled.end()) continue;
    fields.unsupported(guard.field,
                       fmt::format("{} with {}", name_of(guard.neutral), config.model_type));
  }
  const std::string positions = fields.text_if("position_embedding_type").value_or("");
  if (!positions.empty() && positions != "rope" && positions != "absolute") {
    fields.unsupported("position_embedding_type", "\"rope\"");
  }
}

}  // namespace haq::model
