// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/model/checkpoint.h"

namespace haq::quant {

/// Where a per-channel factor can move between an activation and the weights that read it without
/// changing what the network computes.
enum class GroupKind {
  kAttentionInput,  ///< input norm -> q, k, v (MLA: q or q_a, and kv_a)
  kLatentQuery,     ///< MLA: q_a norm -> q_b
  kLatentKv,        ///< MLA: kv_a norm -> kv_b
  kValueOutput,     ///< v (MLA: value rows of kv_b) -> o
  kFfnInput,        ///< post-attention norm -> router, gate and up of all experts or the dense FFN,
                    ///< shared experts and their gate
  kUpDown,          ///< up -> down of the dense FFN or of one expert (OPT: fc1 -> fc2)
  kSharedUpDown,
};
const char* to_string(GroupKind kind);  ///< "attention-input", ...

/// A module by its role; expert -1 for those that are no routed expert.
struct ModuleId {
  model::Role role{};
  int layer = -1, expert = -1;
  friend bool operator==(const ModuleId&, const ModuleId&) = default;
  friend auto operator<=>(const ModuleId&, const ModuleId&) = default;
};

struct Group {
  GroupKind kind{};
  int layer = 0;
  int expert = -1;
  ModuleId source;                 ///< the norm or projection whose output is divided by s
  std::vector<ModuleId> readers;   ///< linears whose columns are multiplied by s, router included
  std::int64_t channels = 0;       ///< of the readers' input
  std::int64_t factors = 0;        ///< independent factors: channels, or kv_heads * v_dim under GQA
  std::vector<std::int32_t> ties;  ///< [channels] -> factor; empty when each channel has its own
  bool exact = true;
  std::string reason;  ///< why not, when !exact ("clip_qkv clamps the values")
};

/// All groups of a layer, also those where a fold is not exact (with the reason), in the fixed
/// order of GroupKind and expert.
std::vector<Group> smoothing_groups(const model::ModelConfig& config, int layer);
/// The group that smooths the input of this linear, or null.
const Group* group_of(const std::vector<Group>& groups, const ModuleId& reader);

}  // namespace haq::quant
