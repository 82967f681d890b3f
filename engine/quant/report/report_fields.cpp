// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/quant/report/report_fields.h"

#include <array>
#include <cmath>
#include <limits>

#include "engine/base/error.h"

namespace haq::quant {
namespace {

using model::Fields;
using model::Role;

constexpr int kMaxIndex = 1 << 20;  ///< of a layer or an expert

struct RoleName {
  Role role;
  const char* name;
};

/// Words that stay valid in old reports however the enumeration changes.
constexpr std::array<RoleName, 29> kRoles = {{
    {Role::kEmbedding, "embedding"},
    {Role::kPositionEmbedding, "position_embedding"},
    {Role::kProjectIn, "project_in"},
    {Role::kProjectOut, "project_out"},
    {Role::kFinalNorm, "final_norm"},
    {Role::kLmHead, "lm_head"},
    {Role::kInputNorm, "input_norm"},
    {Role::kPostAttentionNorm, "post_attention_norm"},
    {Role::kQ, "q"},
    {Role::kK, "k"},
    {Role::kV, "v"},
    {Role::kO, "o"},
    {Role::kQNorm, "q_norm"},
    {Role::kKNorm, "k_norm"},
    {Role::kSinks, "sinks"},
    {Role::kQA, "q_a"},
    {Role::kQANorm, "q_a_norm"},
    {Role::kQB, "q_b"},
    {Role::kKvA, "kv_a"},
    {Role::kKvANorm, "kv_a_norm"},
    {Role::kKvB, "kv_b"},
    {Role::kRouter, "router"},
    {Role::kGate, "gate"},
    {Role::kUp, "up"},
    {Role::kDown, "down"},
    {Role::kSharedGate, "shared_gate"},
    {Role::kSharedUp, "shared_up"},
    {Role::kSharedDown, "shared_down"},
    {Role::kSharedExpertGate, "shared_expert_gate"},
}};

const char* role_name(Role role) {
  for (const RoleName& entry : kRoles) {
    if (entry.role == role) return entry.name;
  }
  fail(ErrorCode::kInternal, "role {} has no name in reports", static_cast<int>(role));
}

Role read_role(const Fields& fields) {
  const auto name = fields.text_if("role");
  if (!name) fields.missing("role", "the module's role");
  for (const RoleName& entry : kRoles) {
    if (*name == entry.name) return entry.role;
  }
  fields.wrong("role", "a known role");
}

int index_of(const Fields& fields, const char* key) {
  return static_cast<int>(fields.integer_if(key, -1, kMaxIndex).value_or(-1));
}

std::int64_t count_of(const Fields& fields, const char* key) {
  return fields.integer_if(key, 0, kMaxCount).value_or(0);
}

double real_of(const Fields& fields, const char* key, double fallback = 0) {
  return fields.real_if(key, -kMaxReal, kMaxReal).value_or(fallback);
}

std::string read_smoothing(const Fields& fields) {
  const std::string word = fields.text_if("smoothing").value_or("none");
  if (word != "alpha" && word != "threshold" && word != "none") {
    fields.wrong("smoothing", "\"alpha\", \"threshold\" or \"none\"");
  }
  return word;
}

}  // namespace

nlohmann::ordered_json real_to_json(double value) {
  if (!std::isfinite(value)) return nullptr;
  return value;
}

nlohmann::ordered_json real_to_json(const std::optional<double>& value) {
  if (!value) return nullptr;
  return real_to_json(*value);
}

std::string text_from_json(const Fields& fields, const char* key) {
  std::string text = fields.text_if(key).value_or(std::string());
  if (text.size() > kMaxReportText) {
    fail(ErrorCode::kLimit, "{}: field \"{}\": {} bytes, more than the limit of {}", fields.file(),
         key, text.size(), kMaxReportText);
  }
  return text;
}

nlohmann::ordered_json to_json(const ModuleReport& module) {
  nlohmann::ordered_json json;
  json["name"] = module.name;
  json["role"] = role_name(module.role);
  json["layer"] = module.layer;
  json["expert"] = module.expert;
  json["smoothing"] = module.smoothing;
  json["alpha"] = real_to_json(module.alpha);
  json["threshold"] = real_to_json(module.threshold);
  json["smoothing_reason"] = module.smoothing_reason;
  json["error_rtn"] = real_to_json(module.error_rtn);
  json["error_smooth"] = real_to_json(module.error_smooth);
  json["error_final"] = real_to_json(module.error_final);
  json["snr_db"] = real_to_json(module.snr_db);
  json["clip"] = real_to_json(module.clip);
  json["damping"] = real_to_json(module.damping);
  json["dead_channels"] = module.dead_channels;
  json["rows_kept_rounded"] = module.rows_kept_rounded;
  json["tokens"] = module.tokens;
  json["seconds"] = real_to_json(module.seconds);
  return json;
}

nlohmann::ordered_json to_json(const ExpertReport& expert) {
  nlohmann::ordered_json json;
  json["layer"] = expert.layer;
  json["expert"] = expert.expert;
  json["tokens"] = expert.tokens;
  return json;
}

ModuleReport module_from_json(const Fields& fields) {
  ModuleReport module;
  module.name = text_from_json(fields, "name");
  if (module.name.empty()) fields.missing("name", "the module's name");
  module.role = read_role(fields);
  module.layer = index_of(fields, "layer");
  module.expert = index_of(fields, "expert");
  module.smoothing = read_smoothing(fields);
  module.alpha = fields.real_if("alpha", -kMaxReal, kMaxReal);
  module.threshold = fields.real_if("threshold", -kMaxReal, kMaxReal);
  module.smoothing_reason = text_from_json(fields, "smoothing_reason");
  module.error_rtn = real_of(fields, "error_rtn");
  module.error_smooth = real_of(fields, "error_smooth");
  module.error_final = real_of(fields, "error_final");
  module.snr_db = real_of(fields, "snr_db");
  module.clip = real_of(fields, "clip", 1);
  module.damping = real_of(fields, "damping");
  module.dead_channels = static_cast<int>(
      fields.integer_if("dead_channels", 0, std::numeric_limits<int>::max()).value_or(0));
  module.rows_kept_rounded = count_of(fields, "rows_kept_rounded");
  module.tokens = count_of(fields, "tokens");
  module.seconds = real_of(fields, "seconds");
  return module;
}

ExpertReport expert_from_json(const Fields& fields) {
  ExpertReport expert;
  expert.layer = static_cast<int>(fields.integer("layer", 0, kMaxIndex));
  expert.expert = static_cast<int>(fields.integer("expert", 0, kMaxIndex));
  expert.tokens = count_of(fields, "tokens");
  return expert;
}

}  // namespace haq::quant
