// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/model/config.h"

#include <gtest/gtest.h>

#include "engine/model/fingerprint.h"
#include "engine/model/generation_config.h"
#include "tests/engine/model/builder.h"
#include "tests/support/errors.h"

namespace haq::model {
namespace {

using nlohmann::json;
using test::expect_error;
using test_data::golden_config;

ModelConfig parse(const json& config) {
  return parse_config(config, "config.json");
}

/// A reference config with some fields changed (a JSON merge patch: null removes a field).
json patched(const char* model, const char* patch) {
  json config = golden_config(model);
  config.merge_patch(json::parse(patch));
  return config;
}

/// Windows of all layers.
std::vector<int> windows(const ModelConfig& config) {
  std::vector<int> list;
  for (const auto& layer : config.layers) list.push_back(layer.sliding_window);
  return list;
}

TEST(Config, BothSpellingsMeanTheSame) {
  json old_form = golden_config("llama3_rope");
  json new_form = old_form;
  new_form["rope_parameters"] = old_form["rope_scaling"];
  new_form["rope_parameters"]["rope_theta"] = old_form["rope_theta"];
  new_form["dtype"] = "bfloat16";
  for (const char* key : {"rope_scaling", "rope_theta", "torch_dtype"}) new_form.erase(key);
  EXPECT_EQ(canonical_config(parse(old_form)), canonical_config(parse(new_form)));
  EXPECT_EQ(parse(new_form).torch_dtype, "bfloat16");

  json type_form = old_form;
  type_form["rope_scaling"]["type"] = "llama3";
  type_form["rope_scaling"].erase("rope_type");
  EXPECT_EQ(canonical_config(parse(old_form)), canonical_config(parse(type_form)));
}

TEST(Config, NullIsAbsence) {
  json config = golden_config("llama");
  config["head_dim"] = nullptr;
  config["rope_scaling"] = nullptr;
  config["rope_parameters"] = nullptr;
  config["quantization_config"] = nullptr;
  config["num_key_value_heads"] = nullptr;
  const auto parsed = parse(config);
  EXPECT_EQ(parsed.head_dim, 16);
  EXPECT_EQ(parsed.kv_heads, 4);
  EXPECT_FALSE(parsed.quantized);
}

TEST(Config, SlidingWindowRules) {
  EXPECT_EQ(windows(parse(patched("mistral", R"({"sliding_window": null})"))),
            (std::vector<int>{4096, 4096}));
  json none = golden_config("mistral");
  none["sliding_window"] = nullptr;
  EXPECT_EQ(windows(parse(none)), (std::vector<int>{0, 0}));
  EXPECT_EQ(windows(parse(patched("mixtral_window", R"({"sliding_window": null})"))),
            (std::vector<int>{0, 0}));
  const char* use = R"({"use_sliding_window": true, "sliding_window": 16, "max_window_layers": 2,
                        "num_hidden_layers": 4})";
  EXPECT_EQ(windows(parse(patched("qwen2", use))), (std::vector<int>{0, 0, 16, 16}));
  EXPECT_EQ(windows(parse(patched("qwen3", use))), (std::vector<int>{0, 0, 16, 16}));
  EXPECT_EQ(windows(parse(patched("qwen2_moe", use))), (std::vector<int>{16, 0, 0, 0}));
  EXPECT_EQ(windows(parse(patched("qwen3_moe", use))), (std::vector<int>{16, 16, 16, 16}));
  EXPECT_EQ(windows(parse(patched("gpt_oss", R"({"layer_types": null})"))),
            (std::vector<int>{16, 0, 16, 0}));
  EXPECT_EQ(windows(parse(patched("gpt_oss", R"({"layer_types": ["full_attention",
      "sliding_attention", "full_attention", "full_attention"]})"))),
            (std::vector<int>{0, 16, 0, 0}));
}

TEST(Config, LayerTypesMustAgreeWhereTheyDecideNothing) {
  EXPECT_EQ(parse(patched("llama", R"({"layer_types": ["full_attention", "full_attention",
      "full_attention"]})"))
                .layer_count(),
            3);
  expect_error(ErrorCode::kUnsupported, {"layer_types"}, [] {
    parse(patched("llama", R"({"layer_types": ["full_attention", "sliding_attention",
        "full_attention"]})"));
  });
  expect_error(ErrorCode::kCorrupt, {"layer_types", "4 entries"},
               [] { parse(patched("gpt_oss", R"({"layer_types": ["full_attention"]})")); });
  expect_error(ErrorCode::kUnsupported, {"layer_types", "chunked"}, [] {
    parse(patched("qwen2", R"({"layer_types": ["chunked_attention", "full_attention"]})"));
  });
}

TEST(Config, BiasFlagsFollowTheConfig) {
  const auto llama = parse(patched("llama", R"({"attention_bias": true, "mlp_bias": true})"));
  EXPECT_TRUE(llama.qkv_bias && llama.o_bias && llama.ffn_bias);
  const auto qwen = parse(golden_config("qwen2"));
  EXPECT_TRUE(qwen.qkv_bias && !qwen.o_bias);
  const auto opt = parse(patched("opt_125m", R"({"enable_bias": false})"));
  EXPECT_FALSE(opt.qkv_bias || opt.o_bias || opt.ffn_bias);
}

TEST(Config, TiedHeadDefaults) {
  EXPECT_TRUE(parse(patched("opt_125m", R"({"tie_word_embeddings": null})")).tied_head);
  EXPECT_FALSE(parse(patched("llama3_rope", R"({"tie_word_embeddings": null})")).tied_head);
}

TEST(Config, RopeVariants) {
  const auto linear =
      parse(patched("llama", R"({"rope_scaling": {"type": "linear", "factor": 4}})")).rope;
  EXPECT_EQ(linear.scaling, RopeScaling::kLinear);
  EXPECT_EQ(linear.factor, 4.0);
  const auto yarn = parse(patched("qwen2", R"({"rope_scaling": {"rope_type": "yarn", "factor": 4,
      "attention_factor": 0.5}})"))
                        .rope;
  EXPECT_EQ(yarn.original_max_positions, 256);  // nothing said: max_position_embeddings
  EXPECT_EQ(yarn.attention_factor, 0.5);
  EXPECT_TRUE(yarn.truncate);
  EXPECT_EQ(parse(patched("llama", R"({"rope_theta": null})")).rope.theta, 10000.0F);
  EXPECT_EQ(parse(patched("mixtral", R"({"rope_theta": null})")).rope.theta, 1e6F);
}

TEST(Config, ExpertCountsOfBothSpellings) {
  const json config = patched("qwen3_moe", R"({"num_experts": null, "num_local_experts": 8})");
  EXPECT_EQ(canonical_config(parse(config)), canonical_config(parse(golden_config("qwen3_moe"))));
  expect_error(ErrorCode::kCorrupt, {"num_local_experts", "8"},
               [] { parse(patched("qwen3_moe", R"({"num_local_experts": 9})")); });
}

TEST(Config, TokenIds) {
  const auto list = parse(patched("llama", R"({"eos_token_id": [2, 5], "bos_token_id": -1})"));
  EXPECT_EQ(list.eos_ids, (std::vector<std::int64_t>{2, 5}));
  EXPECT_EQ(list.bos_id, -1);
  EXPECT_TRUE(parse(patched("llama", R"({"eos_token_id": null})")).eos_ids.empty());
}

TEST(Config, FieldsThatCannotChangeInferenceAreIgnored) {
  EXPECT_EQ(canonical_config(parse(golden_config("mixtral"))),
            canonical_config(parse(patched("mixtral", R"({"router_aux_loss_coef": 7,
      "attention_dropout": 0.5, "initializer_range": 3, "use_cache": false, "pretraining_tp": 2,
      "some_future_field": {"a": [1]}, "logit_scale": 1})"))));
  EXPECT_EQ(parse(patched("llama", R"({"num_experts": 0, "clip_qkv": null})")).experts, 0);
}

struct Refusal {
  const char* model;
  const char* patch;
  const char* field;
};

class RefusedConfig : public testing::TestWithParam<Refusal> {};

TEST_P(RefusedConfig, IsNamed) {
  const Refusal& refusal = GetParam();
  expect_error(ErrorCode::kUnsupported, {"config.json", refusal.field},
               [&] { parse(patched(refusal.model, refusal.patch)); });
}

INSTANTIATE_TEST_SUITE_P(
    Fields, RefusedConfig,
    testing::Values(
        Refusal{"llama", R"({"model_type": "gemma2"})", "\"gemma2\""},
        Refusal{"llama", R"({"architectures": ["LlamaForSequenceClassification"]})",
                "LlamaForSequenceClassification"},
        Refusal{"llama", R"({"hidden_act": "gelu"})", "hidden_act"},
        Refusal{"opt_125m", R"({"activation_function": "gelu"})", "activation_function"},
        Refusal{"opt_125m", R"({"layer_norm_elementwise_affine": false})",
                "layer_norm_elementwise_affine"},
        Refusal{"llama", R"({"rope_scaling": {"type": "dynamic", "factor": 2}})",
                "rope_scaling.type"},
        Refusal{"llama", R"({"rope_scaling": {"type": "mrope", "mrope_section": [1, 2]}})",
                "rope_scaling.mrope_section"},
        Refusal{"llama", R"({"rope_parameters": {"full_attention": {"rope_theta": 5}}})",
                "rope_parameters.full_attention"},
        Refusal{"llama", R"({"rope_scaling": {"type": "longrope", "short_factor": [1]}})",
                "longrope"},
        Refusal{"llama", R"({"partial_rotary_factor": 0.5})", "partial_rotary_factor"},
        Refusal{"mistral", R"({"attention_bias": true})", "attention_bias"},
        Refusal{"qwen3", R"({"mlp_bias": true})", "mlp_bias"},
        Refusal{"mixtral", R"({"clip_qkv": 8})", "clip_qkv"},
        Refusal{"mixtral", R"({"final_logit_softcapping": 30})", "final_logit_softcapping"},
        Refusal{"mixtral", R"({"logits_scaling": 8})", "logits_scaling"},
        Refusal{"mixtral", R"({"shared_intermediate_size": 8})", "shared_intermediate_size"},
        Refusal{"llama", R"({"num_local_experts": 4})", "num_local_experts"},
        Refusal{"llama", R"({"position_embedding_type": "alibi"})", "position_embedding_type"},
        Refusal{"phimoe", R"({"num_experts_per_tok": 1})", "num_experts_per_tok"},
        Refusal{"deepseek_v2", R"({"topk_method": "group_limited_greedy", "n_group": 8})",
                "n_group"},
        Refusal{"deepseek_v2", R"({"scoring_func": "sigmoid"})", "scoring_func"},
        Refusal{"deepseek_v2", R"({"topk_method": "noaux_tc"})", "topk_method"},
        Refusal{"deepseek_v2", R"({"moe_layer_freq": 2})", "moe_layer_freq"},
        Refusal{"deepseek_v2", R"({"attention_bias": true})", "attention_bias"},
        Refusal{"gpt_oss", R"({"swiglu_alpha": 1.5})", "swiglu_alpha"},
        Refusal{"gpt_oss", R"({"quantization_config": {"quant_method": "mxfp4"}})", "mxfp4"},
        Refusal{"llama", R"({"quantization_config": {"bits": 4}})", "quant_method"}));

class CorruptConfig : public testing::TestWithParam<Refusal> {};

TEST_P(CorruptConfig, IsNamed) {
  const Refusal& refusal = GetParam();
  expect_error(ErrorCode::kCorrupt, {"config.json", refusal.field},
               [&] { parse(patched(refusal.model, refusal.patch)); });
}

INSTANTIATE_TEST_SUITE_P(
    Fields, CorruptConfig,
    testing::Values(
        Refusal{"llama", R"({"model_type": null})", "model_type"},
        Refusal{"llama", R"({"model_type": 3})", "model_type"},
        Refusal{"llama", R"({"hidden_size": 0})", "hidden_size"},
        Refusal{"llama", R"({"hidden_size": -64})", "hidden_size"},
        Refusal{"llama", R"({"hidden_size": 1e30})", "hidden_size"},
        Refusal{"llama", R"({"hidden_size": 9223372036854775807})", "hidden_size"},
        Refusal{"llama", R"({"hidden_size": 18446744073709551615})", "hidden_size"},
        Refusal{"llama", R"({"hidden_size": "64"})", "hidden_size"},
        Refusal{"llama", R"({"hidden_size": 64.5})", "hidden_size"},
        Refusal{"llama", R"({"hidden_size": null})", "hidden_size"},
        Refusal{"llama", R"({"hidden_size": 65})", "num_attention_heads"},
        Refusal{"llama", R"({"num_hidden_layers": 0})", "num_hidden_layers"},
        Refusal{"llama", R"({"num_hidden_layers": 100000})", "num_hidden_layers"},
        Refusal{"llama", R"({"vocab_size": 0})", "vocab_size"},
        Refusal{"llama", R"({"num_key_value_heads": 3})", "num_key_value_heads"},
        Refusal{"llama", R"({"head_dim": 15})", "head_dim"},
        Refusal{"llama", R"({"head_dim": 100000})", "head_dim"},
        Refusal{"llama", R"({"intermediate_size": null})", "intermediate_size"},
        Refusal{"llama", R"({"rms_norm_eps": -1})", "rms_norm_eps"},
        Refusal{"llama", R"({"rope_theta": 0})", "rope_theta"},
        Refusal{"llama", R"({"tie_word_embeddings": "yes"})", "tie_word_embeddings"},
        Refusal{"llama", R"({"rope_scaling": {"type": "linear"}})", "rope_scaling.factor"},
        Refusal{"llama", R"({"rope_scaling": {"type": "linear", "rope_type": "yarn"}})",
                "rope_scaling.type"},
        Refusal{"llama", R"({"rope_scaling": {"factor": 2}})", "rope_scaling.rope_type"},
        Refusal{"llama", R"({"rope_scaling": [1]})", "rope_scaling"},
        Refusal{"llama", R"({"eos_token_id": "</s>"})", "eos_token_id"},
        Refusal{"llama3_rope", R"({"rope_scaling": {"high_freq_factor": 0.5}})",
                "high_freq_factor"},
        Refusal{"mistral", R"({"sliding_window": 0})", "sliding_window"},
        Refusal{"mixtral", R"({"num_experts_per_tok": 5})", "num_experts_per_tok"},
        Refusal{"mixtral", R"({"num_local_experts": 0})", "num_local_experts"},
        Refusal{"mixtral", R"({"num_local_experts": null})", "num_local_experts"},
        Refusal{"granitemoe", R"({"attention_multiplier": null})", "attention_multiplier"},
        Refusal{"phimoe", R"({"rope_scaling": {"short_factor": [1, 2]}})", "short_factor"},
        Refusal{"phimoe", R"({"rope_scaling": {"long_mscale": null}})", "long_mscale"},
        Refusal{"qwen2", R"({"use_sliding_window": true, "max_window_layers": null})",
                "max_window_layers"},
        Refusal{"gpt_oss", R"({"rope_scaling": null})", "rope_parameters"},
        Refusal{"deepseek_v2", R"({"kv_lora_rank": null})", "kv_lora_rank"},
        Refusal{"deepseek_v2", R"({"q_lora_rank": null})", "q_lora_rank"},
        Refusal{"opt_350m", R"({"num_attention_heads": 3})", "num_attention_heads"}));

TEST(GenerationConfig, ReadsAndChecks) {
  const auto defaults = parse_generation_config(
      json::parse(R"({"do_sample": true, "temperature": 0.6, "top_k": 20, "top_p": 0.95,
          "min_p": null, "eos_token_id": [151645, 151643], "transformers_version": "4.51.0"})"),
      "generation_config.json");
  EXPECT_EQ(defaults.do_sample, true);
  EXPECT_EQ(defaults.temperature, 0.6F);
  EXPECT_EQ(defaults.top_k, 20);
  EXPECT_FALSE(defaults.min_p.has_value());
  EXPECT_FALSE(defaults.max_new_tokens.has_value());
  EXPECT_EQ(defaults.eos_ids.size(), 2U);
  for (const char* bad : {R"({"temperature": -1})", R"({"top_p": 2})", R"({"top_k": "many"})",
                          R"({"max_new_tokens": 1e12})", R"({"do_sample": 1})", "[]"}) {
    expect_error(ErrorCode::kCorrupt, {"generation_config.json"},
                 [&] { parse_generation_config(json::parse(bad), "generation_config.json"); });
  }
}

}  // namespace
}  // namespace haq::model
