// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/quant/transform/groups.h"

#include <algorithm>

#include "engine/base/error.h"
#include "engine/model/modules.h"

namespace haq::quant {
namespace {

using model::ModelConfig;
using model::Role;

constexpr const char* kPostNorm = "the norm's output is the residual stream itself";
constexpr const char* kClip = "clip_qkv clamps the values";
constexpr const char* kGptOss =
    "the activation clamps the up projection's output and adds one to it";

class LayerGroups {
 public:
  LayerGroups(const ModelConfig& config, int layer) : config_(config), layer_(layer) {}

  std::vector<Group> build() {
    attention_input();
    latents();
    value_output();
    ffn_input();
    up_down(GroupKind::kUpDown, Role::kUp, Role::kDown);
    up_down(GroupKind::kSharedUpDown, Role::kSharedUp, Role::kSharedDown);
    return std::move(groups_);
  }

 private:
  bool has(Role role, int expert = -1) const {
    return model::module_shape(config_, role, layer_, expert).has_value();
  }
  std::int64_t inputs(const ModuleId& id) const {
    return model::module_shape(config_, id.role, id.layer, id.expert)->cols;
  }
  void add_reader(Group& group, Role role, int expert = -1) const {
    if (has(role, expert)) group.readers.push_back({role, layer_, expert});
  }

  void finish(Group group) {
    group.layer = layer_;
    group.channels = inputs(group.readers.front());
    if (group.factors == 0) group.factors = group.channels;
    group.exact = group.reason.empty();
    groups_.push_back(std::move(group));
  }

  void attention_input() {
    Group group;
    group.kind = GroupKind::kAttentionInput;
    group.source = {Role::kInputNorm, layer_, -1};
    if (!config_.norm_before) {
      // Here the norms follow the additions: q, k and v read what the layer before put out.
      group.source = layer_ > 0 ? ModuleId{Role::kPostAttentionNorm, layer_ - 1, -1}
                                : ModuleId{Role::kEmbedding, -1, -1};
      group.reason = kPostNorm;
    }
    for (const Role role : {Role::kQ, Role::kK, Role::kV, Role::kQA, Role::kKvA}) {
      add_reader(group, role);
    }
    finish(std::move(group));
  }

  void latents() {
    if (has(Role::kQB)) {
      Group group;
      group.kind = GroupKind::kLatentQuery;
      group.source = {Role::kQANorm, layer_, -1};
      add_reader(group, Role::kQB);
      finish(std::move(group));
    }
    if (has(Role::kKvB)) {
      Group group;
      group.kind = GroupKind::kLatentKv;
      group.source = {Role::kKvANorm, layer_, -1};
      add_reader(group, Role::kKvB);
      finish(std::move(group));
    }
  }

  void value_output() {
    Group group;
    group.kind = GroupKind::kValueOutput;
    group.source = {config_.mla ? Role::kKvB : Role::kV, layer_, -1};
    add_reader(group, Role::kO);
    if (config_.clip_qkv) group.reason = kClip;
    const int per_kv_head = config_.heads / config_.kv_heads;
    if (per_kv_head > 1) {
      group.factors = std::int64_t{config_.kv_heads} * config_.v_head_dim;
      for (int head = 0; head < config_.heads; ++head) {
        for (int channel = 0; channel < config_.v_head_dim; ++channel) {
          group.ties.push_back(head / per_kv_head * config_.v_head_dim + channel);
        }
      }
    }
    finish(std::move(group));
  }

  void ffn_input() {
    Group group;
    group.kind = GroupKind::kFfnInput;
    group.source = {Role::kPostAttentionNorm, layer_, -1};
    if (!config_.norm_before) {
      group.source = {Role::kInputNorm, layer_, -1};
      group.reason = kPostNorm;
    }
    add_reader(group, Role::kRouter);
    add_reader(group, Role::kGate);
    add_reader(group, Role::kUp);
    for (int expert = 0; expert < config_.experts; ++expert) {
      add_reader(group, Role::kGate, expert);
      add_reader(group, Role::kUp, expert);
    }
    add_reader(group, Role::kSharedGate);
    add_reader(group, Role::kSharedUp);
    add_reader(group, Role::kSharedExpertGate);
    finish(std::move(group));
  }

  void up_down(GroupKind kind, Role up, Role down) {
    for (int expert = -1; expert < config_.experts; ++expert) {
      if (!has(up, expert)) continue;
      Group group;
      group.kind = kind;
      group.expert = expert;
      group.source = {up, layer_, expert};
      add_reader(group, down, expert);
      if (config_.ffn == model::FfnKind::kGptOss) group.reason = kGptOss;
      finish(std::move(group));
    }
  }

  const ModelConfig& config_;
  int layer_;
  std::vector<Group> groups_;
};

}  // namespace

const char* to_string(GroupKind kind) {
  switch (kind) {
    case GroupKind::kAttentionInput:
      return "attention-input";
    case GroupKind::kLatentQuery:
      return "latent-query";
    case GroupKind::kLatentKv:
      return "latent-kv";
    case GroupKind::kValueOutput:
      return "value-output";
    case GroupKind::kFfnInput:
      return "ffn-input";
    case GroupKind::kUpDown:
      return "up-down";
    case GroupKind::kSharedUpDown:
      break;
  }
  return "shared-up-down";
}

std::vector<Group> smoothing_groups(const ModelConfig& config, int layer) {
  if (layer < 0 || layer >= config.layer_count()) {
    fail(ErrorCode::kInvalidArgument, "layer {}: expected 0 to {}", layer,
         config.layer_count() - 1);
  }
  return LayerGroups(config, layer).build();
}

const Group* group_of(const std::vector<Group>& groups, const ModuleId& reader) {
  for (const Group& group : groups) {
    if (std::find(group.readers.begin(), group.readers.end(), reader) != group.readers.end()) {
      return &group;
    }
  }
  return nullptr;
}

}  // namespace haq::quant
