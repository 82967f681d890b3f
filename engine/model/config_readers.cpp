// SPDX-License-Identifier: GPL-3.0-or-later
// One function per architecture. The rules follow the configuration and modelling files of
// Hugging Face transformers; tests/golden/README.md lists those that surprise.
#include "engine/model/config_readers.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace haq::model {
namespace {

constexpr std::int64_t kMaxWindow = std::numeric_limits<std::int32_t>::max();

int read_window(const Fields& fields) {
  return static_cast<int>(fields.integer("sliding_window", 1, kMaxWindow));
}

/// Qwen: whether windows are in use at all.
bool uses_window(const Fields& fields) {
  if (!fields.boolean("use_sliding_window", false)) return false;
  if (!fields.mentions("sliding_window")) fields.missing("sliding_window", "a window or null");
  return fields.has("sliding_window");
}

template <typename Predicate>
void set_window(ModelConfig& config, int window, Predicate in_layer) {
  for (int layer = 0; layer < config.layer_count(); ++layer) {
    if (in_layer(layer)) config.layers[static_cast<std::size_t>(layer)].sliding_window = window;
  }
}

/// Follows "layer_types" when it is there, else `is_windowed(layer)`.
template <typename Predicate>
void read_windows_by_type(const Fields& fields, ModelConfig& config, bool use_window,
                          Predicate is_windowed) {
  const auto types = fields.texts_if("layer_types");
  if (types && types->size() != config.layers.size()) {
    fields.wrong("layer_types", fmt::format("{} entries", config.layers.size()));
  }
  for (int layer = 0; layer < config.layer_count(); ++layer) {
    bool windowed = use_window && is_windowed(layer);
    if (types) {
      const std::string& type = (*types)[static_cast<std::size_t>(layer)];
      windowed = type == "sliding_attention";
      if (!windowed && type != "full_attention") {
        fields.unsupported("layer_types", "full_attention or sliding_attention");
      }
      if (windowed && !use_window) {
        fields.wrong("layer_types", "no sliding_attention when use_sliding_window is false");
      }
    }
    if (windowed) {
      config.layers[static_cast<std::size_t>(layer)].sliding_window = read_window(fields);
    }
  }
}

void read_attention_bias(const Fields& fields, ModelConfig& config, bool fallback = false) {
  config.qkv_bias = config.o_bias = fields.boolean("attention_bias", fallback);
}

/// Qwen: a layer is MoE iff it is not in mlp_only_layers and (layer + 1) % decoder_sparse_step ==
/// 0.
void read_sparse_layers(const Fields& fields, ModelConfig& config) {
  const auto step = fields.integer_if("decoder_sparse_step", 1, kMaxLayers).value_or(1);
  const auto dense =
      fields.integers_if("mlp_only_layers", 0, kMaxLayers).value_or(std::vector<std::int64_t>());
  const bool any_dense = step > 1 || !dense.empty();
  const int dense_width = any_dense ? fields.size("intermediate_size", kMaxWidth) : 0;
  for (int index = 0; index < config.layer_count(); ++index) {
    const bool listed = std::find(dense.begin(), dense.end(), index) != dense.end();
    if (!listed && (index + 1) % step == 0) continue;
    auto& layer = config.layers[static_cast<std::size_t>(index)];
    layer.moe = false;
    layer.ffn_width = dense_width;
  }
}

}  // namespace

void read_llama(const Fields& fields, ModelConfig& config) {
  read_decoder(fields, config, {});
  read_attention_bias(fields, config);
  config.ffn_bias = fields.boolean("mlp_bias", false);
}

void read_mistral(const Fields& fields, ModelConfig& config) {
  read_decoder(fields, config, {.kv_heads = 8});
  int window = 4096;  // what a missing key means; null means no window
  if (fields.mentions("sliding_window")) {
    window = fields.has("sliding_window") ? read_window(fields) : 0;
  }
  set_window(config, window, [](int) { return true; });
}

void read_mixtral(const Fields& fields, ModelConfig& config) {
  read_decoder(fields, config, {.rope_theta = 1e6, .norm_eps = 1e-5, .kv_heads = 8});
  read_experts(fields, config, "num_local_experts", "intermediate_size");
  config.norm_topk = true;
  if (fields.has("sliding_window")) {
    set_window(config, read_window(fields), [](int) { return true; });
  }
}

void read_opt(const Fields& fields, ModelConfig& config) {
  config.hidden = fields.size("hidden_size", kMaxWidth);
  config.embed_dim = static_cast<int>(
      fields.integer_if("word_embed_proj_dim", 1, kMaxWidth).value_or(config.hidden));
  config.vocab = fields.size("vocab_size", kMaxVocab);
  config.heads = config.kv_heads = fields.size("num_attention_heads", kMaxHeads);
  if (config.hidden % config.heads != 0) {
    fields.wrong("num_attention_heads", fmt::format("a divisor of hidden_size {}", config.hidden));
  }
  config.head_dim = config.v_head_dim = config.hidden / config.heads;
  config.attention_scale = 1.0 / std::sqrt(static_cast<double>(config.head_dim));
  config.max_positions = fields.integer("max_position_embeddings", 1, kMaxPositions);
  config.learned_positions = true;
  config.rope = {};
  config.norm = NormKind::kLayer;
  config.norm_eps = 1e-5;  // torch's default; config.json has no field for it
  config.norm_before = fields.boolean("do_layer_norm_before", true);
  config.final_norm = config.norm_before && !fields.boolean("_remove_final_layer_norm", false);
  if (!fields.boolean("layer_norm_elementwise_affine", true)) {
    fields.unsupported("layer_norm_elementwise_affine", "true");
  }
  if (fields.text_if("activation_function").value_or("relu") != "relu") {
    fields.unsupported("activation_function", "\"relu\"");
  }
  config.ffn = FfnKind::kRelu;
  config.tied_head = fields.boolean("tie_word_embeddings", true);
  config.qkv_bias = config.o_bias = config.ffn_bias = fields.boolean("enable_bias", true);
  LayerConfig layer;
  layer.ffn_width = fields.size("ffn_dim", kMaxWidth);
  config.layers.assign(static_cast<std::size_t>(fields.size("num_hidden_layers", kMaxLayers)),
                       layer);
}

void read_qwen2(const Fields& fields, ModelConfig& config) {
  read_decoder(fields, config, {.kv_heads = 32});
  config.qkv_bias = true;
  const bool use_window = uses_window(fields);
  const auto first = use_window ? fields.integer("max_window_layers", 0, kMaxLayers) : 0;
  read_windows_by_type(fields, config, use_window, [&](int layer) { return layer >= first; });
}

void read_qwen3(const Fields& fields, ModelConfig& config) {
  read_decoder(fields, config, {.kv_heads = 32, .head_dim = 128});
  read_attention_bias(fields, config);
  config.qk_norm = QkNorm::kPerHead;
  const bool use_window = uses_window(fields);
  const auto first = use_window ? fields.integer("max_window_layers", 0, kMaxLayers) : 0;
  read_windows_by_type(fields, config, use_window, [&](int layer) { return layer >= first; });
}

void read_qwen2_moe(const Fields& fields, ModelConfig& config) {
  read_decoder(fields, config, {.kv_heads = 16});
  config.qkv_bias = fields.boolean("qkv_bias", true);
  read_experts(fields, config, "num_experts", "moe_intermediate_size");
  read_sparse_layers(fields, config);
  config.norm_topk = fields.boolean("norm_topk_prob", false);
  config.shared_width = fields.size("shared_expert_intermediate_size", kMaxWidth);
  config.shared_gate = true;
  const bool use_window = uses_window(fields);
  const auto end = use_window ? fields.integer("max_window_layers", 0, kMaxLayers) : 0;
  read_windows_by_type(fields, config, use_window,
                       [&](int layer) { return layer % 2 == 0 && layer < end; });
}

void read_qwen3_moe(const Fields& fields, ModelConfig& config) {
  read_decoder(fields, config, {.kv_heads = 4});
  read_attention_bias(fields, config);
  config.qk_norm = QkNorm::kPerHead;
  read_experts(fields, config, "num_experts", "moe_intermediate_size");
  read_sparse_layers(fields, config);
  config.norm_topk = fields.boolean("norm_topk_prob", false);
  if (uses_window(fields)) {
    set_window(config, read_window(fields), [](int) { return true; });
  }
}

void read_olmoe(const Fields& fields, ModelConfig& config) {
  read_decoder(fields, config, {.norm_eps = 1e-5});
  read_attention_bias(fields, config);
  config.qk_norm = QkNorm::kFullRow;
  read_experts(fields, config, "num_experts", "intermediate_size");
  config.norm_topk = fields.boolean("norm_topk_prob", false);
  if (const auto clip = fields.real_if("clip_qkv", 1e-6, 1e6)) {
    config.clip_qkv = static_cast<float>(*clip);
  }
}

void read_granitemoe(const Fields& fields, ModelConfig& config) {
  read_decoder(fields, config, {});
  read_attention_bias(fields, config);
  read_experts(fields, config, "num_local_experts", "intermediate_size");
  config.router = RouterKind::kTopKThenSoftmax;
  config.attention_scale = fields.real("attention_multiplier", 1e-6, 1e6);
  const auto multiplier = [&](const char* key) {
    return static_cast<float>(fields.real_if(key, 1e-6, 1e6).value_or(1.0));
  };
  config.embedding_multiplier = multiplier("embedding_multiplier");
  config.residual_multiplier = multiplier("residual_multiplier");
  config.logits_divisor = multiplier("logits_scaling");
}

void read_phimoe(const Fields& fields, ModelConfig& config) {
  read_decoder(fields, config, {.rope_theta = 1e6, .norm_eps = 1e-5, .kv_heads = 8});
  read_attention_bias(fields, config);
  config.head_bias = fields.boolean("lm_head_bias", false);
  config.norm = NormKind::kLayer;
  read_experts(fields, config, "num_local_experts", "intermediate_size");
  if (config.top_k != 2) fields.unsupported("num_experts_per_tok", "2 (sparsemixer routing)");
  config.router = RouterKind::kSparseMixer;
  config.norm_topk = false;
  config.router_jitter =
      static_cast<float>(fields.real_if("router_jitter_noise", 0, 1).value_or(0.01));
  if (fields.has("sliding_window")) {
    set_window(config, read_window(fields), [](int) { return true; });
  }
}

void read_gpt_oss(const Fields& fields, ModelConfig& config) {
  read_decoder(fields, config,
               {.rope_theta = 150000.0, .norm_eps = 1e-5, .kv_heads = 8, .head_dim = 64});
  read_attention_bias(fields, config, true);
  read_experts(fields, config, "num_local_experts", "intermediate_size");
  config.ffn_bias = config.router_bias = true;
  config.router = RouterKind::kTopKThenSoftmax;
  config.ffn = FfnKind::kGptOss;
  config.swiglu_limit = static_cast<float>(fields.real_if("swiglu_limit", 1e-3, 1e6).value_or(7.0));
  constexpr double kAlpha = 1.702;  // the sigmoid gain that the expert kernels are written for
  if (fields.real_if("swiglu_alpha", 0, 1e6).value_or(kAlpha) != kAlpha) {
    fields.unsupported("swiglu_alpha", "1.702");
  }
  if (!fields.has("rope_parameters") && !fields.has("rope_scaling")) {
    fields.missing("rope_parameters", "the yarn settings of the model");
  }
  config.attention_sinks = true;
  read_windows_by_type(fields, config, true, [](int layer) { return layer % 2 == 0; });
}

void read_deepseek_v2(const Fields& fields, ModelConfig& config) {
  read_decoder(fields, config, {});
  MlaConfig mla;
  // Here a missing key and null mean different things: a rank of 1536 and one q_proj.
  if (!fields.mentions("q_lora_rank")) fields.missing("q_lora_rank", "a rank or null");
  mla.q_lora_rank = static_cast<int>(fields.integer_if("q_lora_rank", 1, kMaxWidth).value_or(0));
  mla.kv_lora_rank = fields.size("kv_lora_rank", kMaxWidth);
  mla.nope_dim = fields.size("qk_nope_head_dim", kMaxHeadDim);
  mla.rope_dim = fields.size("qk_rope_head_dim", kMaxHeadDim);
  mla.v_dim = fields.size("v_head_dim", kMaxHeadDim);
  config.mla = mla;
  config.kv_heads = config.heads;  // keys and values are expanded to one per head
  config.head_dim = mla.nope_dim + mla.rope_dim;
  config.v_head_dim = mla.v_dim;
  read_rope(fields, config, Defaults().rope_theta, mla.rope_dim);
  config.rope.interleaved = true;
  double scale = 1.0 / std::sqrt(static_cast<double>(config.head_dim));
  if (config.rope.scaling == RopeScaling::kYarn && config.rope.mscale_all_dim.value_or(0) != 0 &&
      config.rope.factor > 1) {
    const double mscale = 0.1 * *config.rope.mscale_all_dim * std::log(config.rope.factor) + 1.0;
    scale *= mscale * mscale;
  }
  config.attention_scale = scale;

  const int dense_width = config.layers.front().ffn_width;
  read_experts(fields, config, "n_routed_experts", "moe_intermediate_size");
  const auto dense = fields.integer_if("first_k_dense_replace", 0, kMaxLayers).value_or(0);
  for (int index = 0; index < config.layer_count() && index < dense; ++index) {
    config.layers[static_cast<std::size_t>(index)].moe = false;
    config.layers[static_cast<std::size_t>(index)].ffn_width = dense_width;
  }
  if (fields.integer_if("moe_layer_freq", 1, kMaxLayers).value_or(1) != 1) {
    fields.unsupported("moe_layer_freq", "1");
  }
  if (fields.text_if("scoring_func").value_or("softmax") != "softmax") {
    fields.unsupported("scoring_func", "\"softmax\"");
  }
  const std::string method = fields.text_if("topk_method").value_or("greedy");
  if (method != "greedy" && method != "group_limited_greedy") {
    fields.unsupported("topk_method", "\"greedy\"");
  }
  // One group limits nothing; more of them are another routing rule.
  if (method != "greedy" && fields.integer_if("n_group", 1, kMaxExperts).value_or(1) != 1) {
    fields.unsupported("n_group", "1");
  }
  config.norm_topk = false;  // the key norm_topk_prob is ignored by the reference as well
  config.routed_scale =
      static_cast<float>(fields.real_if("routed_scaling_factor", 1e-6, 1e6).value_or(1.0));
  const auto shared = fields.integer("n_shared_experts", 0, kMaxExperts);
  const std::int64_t shared_width = shared * fields.size("moe_intermediate_size", kMaxWidth);
  if (shared_width > kMaxWidth) fields.wrong("n_shared_experts", "a smaller number");
  config.shared_width = static_cast<int>(shared_width);
}

}  // namespace haq::model
