// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/model/generation_config.h"

#include <limits>
#include <nlohmann/json.hpp>

#include "engine/base/json.h"
#include "engine/model/config_fields.h"

namespace haq::model {

GenerationDefaults parse_generation_config(const nlohmann::json& json,
                                           const std::string& file_name) {
  const Fields fields(json, file_name);
  const auto real = [&](const char* key, double low, double high) -> std::optional<float> {
    if (const auto value = fields.real_if(key, low, high)) return static_cast<float>(*value);
    return {};
  };
  const auto integer = [&](const char* key) -> std::optional<int> {
    const auto value = fields.integer_if(key, 0, std::numeric_limits<std::int32_t>::max());
    if (value) return static_cast<int>(*value);
    return {};
  };
  GenerationDefaults defaults;
  defaults.do_sample = fields.boolean_if("do_sample");
  defaults.temperature = real("temperature", 0, 100);
  defaults.top_p = real("top_p", 0, 1);
  defaults.min_p = real("min_p", 0, 1);
  defaults.repetition_penalty = real("repetition_penalty", 1e-3, 1e3);
  defaults.top_k = integer("top_k");
  defaults.max_new_tokens = integer("max_new_tokens");
  defaults.eos_ids = fields.token_ids("eos_token_id");
  return defaults;
}

GenerationDefaults read_generation_config(const std::filesystem::path& folder) {
  const auto path = folder / "generation_config.json";
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(path, ignored)) return {};
  return parse_generation_config(parse_json_file(path), path.string());
}

}  // namespace haq::model
