// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/model/modules.h"

#include <array>

namespace haq::model {
namespace {

constexpr std::array kGlobalRoles = {Role::kEmbedding,  Role::kPositionEmbedding, Role::kProjectIn,
                                     Role::kProjectOut, Role::kFinalNorm,         Role::kLmHead};
constexpr std::array kLayerRoles = {Role::kInputNorm,
                                    Role::kPostAttentionNorm,
                                    Role::kQ,
                                    Role::kK,
                                    Role::kV,
                                    Role::kO,
                                    Role::kQNorm,
                                    Role::kKNorm,
                                    Role::kSinks,
                                    Role::kQA,
                                    Role::kQANorm,
                                    Role::kQB,
                                    Role::kKvA,
                                    Role::kKvANorm,
                                    Role::kKvB,
                                    Role::kRouter,
                                    Role::kGate,
                                    Role::kUp,
                                    Role::kDown,
                                    Role::kSharedGate,
                                    Role::kSharedUp,
                                    Role::kSharedDown,
                                    Role::kSharedExpertGate};
constexpr std::array kExpertRoles = {Role::kGate, Role::kUp, Role::kDown};

using Shape = std::optional<ModuleShape>;

Shape linear(std::int64_t rows, std::int64_t cols, bool bias = false) {
  ModuleShape shape;
  shape.rows = rows;
  shape.cols = cols;
  shape.bias = bias;
  return shape;
}

Shape vector(std::int64_t length, bool bias = false) {
  return linear(length, 0, bias);
}

Shape global_shape(const ModelConfig& c, Role role) {
  const bool projected = c.embed_dim != c.hidden;
  switch (role) {
    case Role::kEmbedding:
      return linear(c.vocab, c.embed_dim);
    case Role::kPositionEmbedding:
      // The OPT table is looked up at position + 2.
      return c.learned_positions ? linear(c.max_positions + 2, c.hidden) : Shape();
    case Role::kProjectIn:
      return projected ? linear(c.hidden, c.embed_dim) : Shape();
    case Role::kProjectOut:
      return projected ? linear(c.embed_dim, c.hidden) : Shape();
    case Role::kFinalNorm:
      return c.final_norm ? vector(c.hidden, c.norm == NormKind::kLayer) : Shape();
    case Role::kLmHead:
      return linear(c.vocab, c.embed_dim, c.head_bias);
    default:
      return {};
  }
}

Shape mla_shape(const ModelConfig& c, Role role) {
  const MlaConfig& mla = *c.mla;
  const std::int64_t q_rows = std::int64_t{c.heads} * c.head_dim;
  const bool two_step_q = mla.q_lora_rank > 0;
  switch (role) {
    case Role::kQ:
      return two_step_q ? Shape() : linear(q_rows, c.hidden);
    case Role::kQA:
      return two_step_q ? linear(mla.q_lora_rank, c.hidden) : Shape();
    case Role::kQANorm:
      return two_step_q ? vector(mla.q_lora_rank) : Shape();
    case Role::kQB:
      return two_step_q ? linear(q_rows, mla.q_lora_rank) : Shape();
    case Role::kKvA:
      return linear(mla.kv_lora_rank + mla.rope_dim, c.hidden);
    case Role::kKvANorm:
      return vector(mla.kv_lora_rank);
    case Role::kKvB:
      return linear(std::int64_t{c.heads} * (mla.nope_dim + mla.v_dim), mla.kv_lora_rank);
    case Role::kO:
      return linear(c.hidden, std::int64_t{c.heads} * c.v_head_dim);
    default:
      return {};
  }
}

Shape attention_shape(const ModelConfig& c, Role role) {
  const std::int64_t q_rows = std::int64_t{c.heads} * c.head_dim;
  const std::int64_t kv_rows = std::int64_t{c.kv_heads} * c.head_dim;
  switch (role) {
    case Role::kQ:
      return linear(q_rows, c.hidden, c.qkv_bias);
    case Role::kK:
    case Role::kV:
      return linear(kv_rows, c.hidden, c.qkv_bias);
    case Role::kO:
      return linear(c.hidden, q_rows, c.o_bias);
    case Role::kQNorm:
    case Role::kKNorm:
      if (c.qk_norm == QkNorm::kNone) return {};
      if (c.qk_norm == QkNorm::kPerHead) return vector(c.head_dim);
      return vector(role == Role::kQNorm ? q_rows : kv_rows);
    case Role::kSinks:
      return c.attention_sinks ? vector(c.heads) : Shape();
    default:
      return {};
  }
}

Shape ffn_shape(const ModelConfig& c, const LayerConfig& layer, Role role, bool expert) {
  if (expert != layer.moe && (role == Role::kGate || role == Role::kUp || role == Role::kDown)) {
    return {};
  }
  const bool shared = layer.moe && c.shared_width > 0;
  switch (role) {
    case Role::kGate:
      return c.ffn == FfnKind::kRelu ? Shape() : linear(layer.ffn_width, c.hidden, c.ffn_bias);
    case Role::kUp:
      return linear(layer.ffn_width, c.hidden, c.ffn_bias);
    case Role::kDown:
      return linear(c.hidden, layer.ffn_width, c.ffn_bias);
    case Role::kRouter:
      return layer.moe ? linear(c.experts, c.hidden, c.router_bias) : Shape();
    case Role::kSharedGate:
    case Role::kSharedUp:
      return shared ? linear(c.shared_width, c.hidden) : Shape();
    case Role::kSharedDown:
      return shared ? linear(c.hidden, c.shared_width) : Shape();
    case Role::kSharedExpertGate:
      return shared && c.shared_gate ? linear(1, c.hidden) : Shape();
    default:
      return {};
  }
}

Shape layer_shape(const ModelConfig& c, const LayerConfig& layer, Role role, bool expert) {
  switch (role) {
    case Role::kInputNorm:
    case Role::kPostAttentionNorm:
      return vector(c.hidden, c.norm == NormKind::kLayer);
    case Role::kRouter:
    case Role::kGate:
    case Role::kUp:
    case Role::kDown:
    case Role::kSharedGate:
    case Role::kSharedUp:
    case Role::kSharedDown:
    case Role::kSharedExpertGate:
      return ffn_shape(c, layer, role, expert);
    default:
      return c.mla ? mla_shape(c, role) : attention_shape(c, role);
  }
}

bool is_expert_role(Role role) {
  return role == Role::kGate || role == Role::kUp || role == Role::kDown;
}

}  // namespace

Shape module_shape(const ModelConfig& config, Role role, int layer, int expert) {
  Shape shape;
  if (layer < 0) {
    if (expert < 0) shape = global_shape(config, role);
  } else if (layer < config.layer_count() && expert < config.experts &&
             (expert < 0 || is_expert_role(role))) {
    shape = layer_shape(config, config.layers[static_cast<std::size_t>(layer)], role, expert >= 0);
  }
  if (shape) {
    shape->role = role;
    shape->layer = layer;
    shape->expert = expert < 0 ? -1 : expert;
  }
  return shape;
}

void for_each_module(const ModelConfig& config,
                     const std::function<void(const ModuleShape&)>& visit) {
  const auto visit_if_there = [&](Role role, int layer, int expert) {
    if (const auto shape = module_shape(config, role, layer, expert)) visit(*shape);
  };
  for (const Role role : kGlobalRoles) {
    if (role != Role::kLmHead || !config.tied_head) visit_if_there(role, -1, -1);
  }
  for (int layer = 0; layer < config.layer_count(); ++layer) {
    for (const Role role : kLayerRoles) visit_if_there(role, layer, -1);
    if (!config.layers[static_cast<std::size_t>(layer)].moe) continue;
    for (int expert = 0; expert < config.experts; ++expert) {
      for (const Role role : kExpertRoles) visit_if_there(role, layer, expert);
    }
  }
}

const char* parameter_class(const ModuleShape& module) {
  if (module.expert >= 0) return "experts";
  switch (module.role) {
    case Role::kEmbedding:
    case Role::kPositionEmbedding:
    case Role::kProjectIn:
      return "embedding";
    case Role::kProjectOut:
    case Role::kLmHead:
      return "head";
    case Role::kFinalNorm:
    case Role::kInputNorm:
    case Role::kPostAttentionNorm:
    case Role::kQNorm:
    case Role::kKNorm:
    case Role::kQANorm:
    case Role::kKvANorm:
      return "norm";
    case Role::kRouter:
      return "router";
    case Role::kGate:
    case Role::kUp:
    case Role::kDown:
      return "dense";
    case Role::kSharedGate:
    case Role::kSharedUp:
    case Role::kSharedDown:
    case Role::kSharedExpertGate:
      return "shared";
    default:
      return "attention";
  }
}

bool is_quantizable(Role role) {
  switch (role) {
    case Role::kQ:
    case Role::kK:
    case Role::kV:
    case Role::kO:
    case Role::kQA:
    case Role::kQB:
    case Role::kKvA:
    case Role::kKvB:
    case Role::kGate:
    case Role::kUp:
    case Role::kDown:
    case Role::kSharedGate:
    case Role::kSharedUp:
    case Role::kSharedDown:
      return true;
    default:
      return false;
  }
}

}  // namespace haq::model
