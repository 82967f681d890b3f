// SPDX-License-Identifier: GPL-3.0-or-later
// Any text as config.json and as generation_config.json: either an Error, or a configuration whose
// sizes are inside their limits.
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "engine/base/error.h"
#include "engine/base/json.h"
#include "engine/model/config_readers.h"
#include "engine/model/fingerprint.h"
#include "engine/model/generation_config.h"
#include "engine/model/ignore_list.h"
#include "engine/model/modules.h"

namespace {

void check_config(const nlohmann::json& json) {
  using namespace haq::model;
  const ModelConfig config = parse_config(json, "config.json");
  if (config.hidden < 1 || config.hidden > kMaxWidth || config.layer_count() < 1 ||
      config.heads % config.kv_heads != 0 || config.top_k > config.experts) {
    std::abort();
  }
  const IgnoreList ignore(config.quantization_ignore, "config.json");
  (void)ignore.matches("model.layers.0.mlp.gate");
  // Big ones only cost time here; all limits are checked above.
  if (std::int64_t{config.layer_count()} * (config.experts + 1) > 1000) return;
  (void)canonical_config(config);
  std::int64_t total = 0;
  for_each_module(config, [&](const ModuleShape& module) {
    if (module.rows < 1 || module.cols < 0) std::abort();
    if (__builtin_add_overflow(total, module.parameters(), &total)) std::abort();
  });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  nlohmann::json json;
  try {
    json = haq::parse_json({reinterpret_cast<const char*>(data), size}, "config.json");
  } catch (const haq::Error&) {
    return 0;
  }
  try {
    check_config(json);
  } catch (const haq::Error&) {
    // refused
  }
  try {
    (void)haq::model::parse_generation_config(json, "generation_config.json");
  } catch (const haq::Error&) {
    // refused
  }
  return 0;
}
