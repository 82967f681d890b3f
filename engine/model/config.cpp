// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/model/config.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/base/error.h"
#include "engine/model/architecture.h"
#include "engine/model/config_readers.h"

namespace haq::model {
namespace {

constexpr std::int64_t kMaxTotalExperts = 1 << 20;

void check_class(const Fields& fields, const Architecture& architecture, ModelConfig& config) {
  config.architecture = architecture.classes.front();
  const auto classes = fields.texts_if("architectures");
  if (!classes || classes->empty()) return;
  const auto& accepted = architecture.classes;
  if (classes->size() != 1 ||
      std::find(accepted.begin(), accepted.end(), classes->front()) == accepted.end()) {
    fields.unsupported("architectures", fmt::format("[\"{}\"]", accepted.front()));
  }
  config.architecture = classes->front();
}

/// layer_types of an architecture whose windows follow other rules: it may only repeat them.
void check_layer_types(const Fields& fields, const ModelConfig& config) {
  const auto types = fields.texts_if("layer_types");
  if (!types) return;
  if (types->size() != config.layers.size()) {
    fields.wrong("layer_types", fmt::format("{} entries", config.layers.size()));
  }
  for (std::size_t i = 0; i < types->size(); ++i) {
    const char* expected =
        config.layers[i].sliding_window > 0 ? "sliding_attention" : "full_attention";
    if ((*types)[i] != expected) {
      fields.unsupported("layer_types", fmt::format("\"{}\" for layer {}", expected, i));
    }
  }
}

}  // namespace

void read_decoder(const Fields& fields, ModelConfig& config, const Defaults& defaults) {
  config.hidden = config.embed_dim = fields.size("hidden_size", kMaxWidth);
  config.vocab = fields.size("vocab_size", kMaxVocab);
  config.heads = fields.size("num_attention_heads", kMaxHeads);
  // An explicit null means as many as heads everywhere; only a missing key has other defaults.
  const int fallback = fields.mentions("num_key_value_heads") || defaults.kv_heads == 0
                           ? config.heads
                           : defaults.kv_heads;
  config.kv_heads =
      static_cast<int>(fields.integer_if("num_key_value_heads", 1, kMaxHeads).value_or(fallback));
  if (config.heads % config.kv_heads != 0) {
    fields.wrong("num_key_value_heads",
                 fmt::format("a divisor of num_attention_heads {}", config.heads));
  }
  if (const auto dim = fields.integer_if("head_dim", 1, kMaxHeadDim)) {
    config.head_dim = static_cast<int>(*dim);
  } else if (!fields.mentions("head_dim") && defaults.head_dim != 0) {
    config.head_dim = defaults.head_dim;
  } else {
    config.head_dim = config.hidden / config.heads;
    if (config.hidden % config.heads != 0 || config.head_dim > kMaxHeadDim) {
      fields.wrong(
          "num_attention_heads",
          fmt::format("a divisor of hidden_size {} that gives heads of at most {} channels",
                      config.hidden, kMaxHeadDim));
    }
  }
  config.v_head_dim = config.head_dim;
  if (std::int64_t{config.heads} * config.head_dim > kMaxWidth) {
    fields.wrong("num_attention_heads", fmt::format("at most {} channels in all", kMaxWidth));
  }
  config.attention_scale = 1.0 / std::sqrt(static_cast<double>(config.head_dim));
  config.max_positions = fields.integer("max_position_embeddings", 1, kMaxPositions);
  config.norm_eps = fields.real_if("rms_norm_eps", 0, 1).value_or(defaults.norm_eps);
  config.tied_head = fields.boolean("tie_word_embeddings", false);
  const std::string activation = fields.text_if("hidden_act").value_or("silu");
  if (activation != "silu" && activation != "swish") fields.unsupported("hidden_act", "\"silu\"");
  read_rope(fields, config, defaults.rope_theta, config.head_dim);
  LayerConfig layer;
  layer.ffn_width =
      static_cast<int>(fields.integer_if("intermediate_size", 1, kMaxWidth).value_or(0));
  config.layers.assign(static_cast<std::size_t>(fields.size("num_hidden_layers", kMaxLayers)),
                       layer);
}

void read_experts(const Fields& fields, ModelConfig& config, const char* count_key,
                  const char* width_key) {
  // transformers 5 keeps one spelling per architecture and writes it under that name; all spellings
  // that a file has must agree.
  const char* present = count_key;
  for (const char* key : {count_key, "num_experts", "num_local_experts"}) {
    const auto count = fields.integer_if(key, 1, kMaxExperts);
    if (!count) continue;
    if (config.experts != 0 && *count != config.experts) {
      fields.wrong(key, fmt::format("{} as in \"{}\"", config.experts, present));
    }
    config.experts = static_cast<int>(*count);
    present = key;
  }
  if (config.experts == 0) config.experts = fields.size(count_key, kMaxExperts);
  config.top_k = fields.size("num_experts_per_tok", config.experts);
  if (std::int64_t{config.experts} * config.layer_count() > kMaxTotalExperts) {
    fields.wrong(present, fmt::format("at most {} experts in all layers", kMaxTotalExperts));
  }
  const int width = fields.size(width_key, kMaxWidth);
  for (auto& layer : config.layers) {
    layer.moe = true;
    layer.ffn_width = width;
  }
}

ModelConfig parse_config(const nlohmann::json& json, const std::string& file_name) {
  const Fields fields(json, file_name);
  ModelConfig config;
  const auto type = fields.text_if("model_type");
  if (!type) fields.missing("model_type", "one of " + supported_model_types());
  const Architecture* architecture = find_architecture(*type);
  if (architecture == nullptr) {
    fields.unsupported("model_type", "one of " + supported_model_types());
  }
  config.model_type = *type;
  check_class(fields, *architecture, config);
  config.torch_dtype = fields.text_if("dtype").value_or(fields.text_if("torch_dtype").value_or(""));
  // First what makes the weights unreadable, so that the message names the real obstacle.
  read_quantization(fields, config);
  architecture->read(fields, config);
  for (const auto& layer : config.layers) {
    if (layer.ffn_width == 0) fields.missing("intermediate_size", "a width");
  }
  check_unhandled_fields(fields, config, architecture->handles);
  const auto& handles = architecture->handles;
  if (std::find(handles.begin(), handles.end(), "layer_types") == handles.end()) {
    check_layer_types(fields, config);
  }
  const auto bos = fields.token_ids("bos_token_id");
  config.bos_id = bos.empty() ? -1 : bos.front();
  config.eos_ids = fields.token_ids("eos_token_id");
  return config;
}

}  // namespace haq::model
