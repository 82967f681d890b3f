// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

namespace haq::model {

enum class NormKind { kRms, kLayer };
enum class QkNorm { kNone, kPerHead, kFullRow };
enum class FfnKind {
  kSwiGlu,        ///< down(silu(gate x) * up x)
  kRelu,          ///< fc2(relu(fc1 x)), OPT
  kGptOss,        ///< clamped, interleaved SwiGLU with (up + 1)
};
enum class RouterKind {
  kSoftmaxThenTopK,  ///< softmax over all experts, take k, optionally divide by their sum
  kTopKThenSoftmax,  ///< softmax over the k chosen logits (granitemoe, gpt_oss)
  kSparseMixer,      ///< Phi-3.5-MoE
};
enum class RopeScaling { kNone, kLinear, kLlama3, kYarn, kLongRope };

struct RopeConfig {
  float theta = 10000.0F;
  int dim = 0;               ///< rotated channels per head; 0 = learned positions (OPT)
  bool interleaved = false;  ///< pairs (2i, 2i+1) instead of (i, i + dim/2)
  RopeScaling scaling = RopeScaling::kNone;
  double factor = 1.0;
  double low_freq_factor = 1.0, high_freq_factor = 4.0;     ///< llama3
  double beta_fast = 32.0, beta_slow = 1.0;                 ///< yarn
  bool truncate = true;                                     ///< yarn ramp bounds rounded to integers
  std::optional<double> attention_factor, mscale, mscale_all_dim;  ///< yarn
  std::vector<double> short_factor, long_factor;            ///< longrope
  std::optional<double> short_mscale, long_mscale;          ///< phimoe longrope
  std::int64_t original_max_positions = 0;
};

/// Multi-head latent attention (DeepSeek-V2).
struct MlaConfig {
  int q_lora_rank = 0;  ///< 0: one q_proj
  int kv_lora_rank = 0;
  int nope_dim = 0, rope_dim = 0, v_dim = 0;
};

struct LayerConfig {
  bool moe = false;
  int sliding_window = 0;  ///< 0: full attention; W: a token sees itself and W-1 before it
  int ffn_width = 0;       ///< width of the dense FFN, or of each expert
};

struct ModelConfig {
  std::string model_type;    ///< "mixtral", "qwen3_moe", ...
  std::string architecture;  ///< "MixtralForCausalLM"
  std::string torch_dtype;   ///< as written in the file, for display
  int hidden = 0;
  int embed_dim = 0;         ///< word_embed_proj_dim; equals hidden nearly always
  int vocab = 0;
  int heads = 0, kv_heads = 0;
  int head_dim = 0;          ///< of q and k (MLA: nope + rope)
  int v_head_dim = 0;        ///< equals head_dim except for MLA
  std::int64_t max_positions = 0;
  NormKind norm = NormKind::kRms;
  double norm_eps = 1e-5;
  bool norm_before = true;   ///< false: norms come after the residual additions (OPT-350m)
  bool final_norm = true;
  bool tied_head = false;
  bool learned_positions = false;  ///< OPT: table looked up at position + 2
  QkNorm qk_norm = QkNorm::kNone;
  std::optional<float> clip_qkv;
  bool attention_sinks = false;
  // Which linears carry a bias (the checkpoint must then hold it, and must not otherwise).
  bool qkv_bias = false, o_bias = false, ffn_bias = false, router_bias = false, head_bias = false;
  double attention_scale = 0;      ///< factor on q.k before the softmax, all corrections included
  std::optional<MlaConfig> mla;
  RopeConfig rope;
  FfnKind ffn = FfnKind::kSwiGlu;
  float swiglu_limit = 7.0F;       ///< kGptOss
  float embedding_multiplier = 1, residual_multiplier = 1, logits_divisor = 1;  ///< Granite
  // Mixture of experts; experts == 0 for dense models
  int experts = 0, top_k = 0;
  RouterKind router = RouterKind::kSoftmaxThenTopK;
  bool norm_topk = true;
  float router_jitter = 0;         ///< kSparseMixer
  float routed_scale = 1;          ///< DeepSeek routed_scaling_factor
  int shared_width = 0;            ///< width of the shared expert's FFN, 0 = none
  bool shared_gate = false;        ///< its output times sigmoid(shared_expert_gate x)
  std::vector<LayerConfig> layers;
  bool quantized = false;          ///< compressed-tensors int8 W8A8 folder
  std::vector<std::string> quantization_ignore;
  std::int64_t bos_id = -1;        ///< -1: none
  std::vector<std::int64_t> eos_ids;

  int layer_count() const { return static_cast<int>(layers.size()); }
};

/// Reads config.json (untrusted). Both spellings of transformers 4 and 5 are understood. Throws
/// kUnsupported naming the architecture or the field whose value would change the result and is
/// not implemented; kCorrupt for contradictions.
ModelConfig parse_config(const nlohmann::json& json, const std::string& file_name);

/// Sampling defaults of generation_config.json; absent fields stay empty.
struct GenerationDefaults {
  std::optional<bool> do_sample;
  std::optional<float> temperature, top_p, min_p, repetition_penalty;
  std::optional<int> top_k, max_new_tokens;
  std::vector<std::int64_t> eos_ids;
};

}  // namespace haq::model
