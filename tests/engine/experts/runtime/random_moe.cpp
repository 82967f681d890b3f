// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/engine/experts/runtime/random_moe.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <vector>

#include "tests/support/paths.h"
#include "tests/support/quantized_folder.h"
#include "tests/support/tensor_file.h"

namespace haq::test {
namespace {

enum class Kind { kMixtral, kQwen2, kQwen3 };

struct Shape {
  Kind kind = Kind::kMixtral;
  int layers = 1, hidden = 32, heads = 2, kv_heads = 1, head_dim = 16;
  int experts = 2, top_k = 1, inner = 16, dense_inner = 24, shared_inner = 24;
  std::vector<int> dense_layers;  ///< not for Mixtral
  bool normalize = true;
};

int between(std::mt19937& random, int low, int high) {
  return low + static_cast<int>(random() % static_cast<unsigned>(high - low + 1));
}

Shape random_shape(std::mt19937& random) {
  Shape s;
  s.kind = static_cast<Kind>(random() % 3);
  s.layers = between(random, 1, 4);
  s.heads = 2 * between(random, 1, 2);
  s.kv_heads = random() % 2 == 0 ? s.heads : s.heads / 2;
  s.hidden = s.heads * s.head_dim;
  s.experts = between(random, 2, 12);
  s.top_k = between(random, 1, std::min(s.experts, 6));
  s.inner = 4 * between(random, 2, 12);
  s.normalize = random() % 2 == 0;
  if (s.kind != Kind::kMixtral && s.layers > 1 && random() % 3 == 0) {
    s.dense_layers.push_back(between(random, 0, s.layers - 1));
  }
  return s;
}

nlohmann::json config_of(const Shape& s) {
  nlohmann::json config = {{"hidden_size", s.hidden},
                           {"num_hidden_layers", s.layers},
                           {"vocab_size", kRandomMoeVocab},
                           {"num_attention_heads", s.heads},
                           {"num_key_value_heads", s.kv_heads},
                           {"hidden_act", "silu"},
                           {"max_position_embeddings", 256},
                           {"rms_norm_eps", 1e-6},
                           {"rope_theta", 10000.0},
                           {"tie_word_embeddings", false},
                           {"torch_dtype", "float32"},
                           {"bos_token_id", 1},
                           {"eos_token_id", 2},
                           {"num_experts_per_tok", s.top_k}};
  if (s.kind == Kind::kMixtral) {
    config.update({{"architectures", {"MixtralForCausalLM"}},
                   {"model_type", "mixtral"},
                   {"intermediate_size", s.inner},
                   {"num_local_experts", s.experts},
                   {"sliding_window", nullptr}});
    return config;
  }
  config.update({{"intermediate_size", s.dense_inner},
                 {"moe_intermediate_size", s.inner},
                 {"num_experts", s.experts},
                 {"norm_topk_prob", s.normalize},
                 {"decoder_sparse_step", 1},
                 {"mlp_only_layers", s.dense_layers},
                 {"use_sliding_window", false},
                 {"sliding_window", nullptr}});
  if (s.kind == Kind::kQwen2) {
    config.update({{"architectures", {"Qwen2MoeForCausalLM"}},
                   {"model_type", "qwen2_moe"},
                   {"shared_expert_intermediate_size", s.shared_inner}});
  } else {
    config.update({{"architectures", {"Qwen3MoeForCausalLM"}},
                   {"model_type", "qwen3_moe"},
                   {"head_dim", s.head_dim},
                   {"attention_bias", false}});
  }
  return config;
}

class Writer {
 public:
  Writer(const Shape& shape, std::mt19937& random) : s_(shape), random_(random) {}

  TensorFile tensors() {
    matrix("model.embed_tokens", kRandomMoeVocab, s_.hidden, 1);
    for (int l = 0; l < s_.layers; ++l) layer(l, fmt::format("model.layers.{}.", l));
    vector("model.norm.weight", s_.hidden, 1);
    matrix("lm_head", kRandomMoeVocab, s_.hidden, 1);
    return std::move(out_);
  }

 private:
  /// Rows whose products with unit-sized inputs are about `gain` large.
  void matrix(const std::string& module, int rows, int cols, double gain) {
    std::normal_distribution<float> normal(0.0F, static_cast<float>(gain / std::sqrt(cols)));
    std::vector<float> values(static_cast<std::size_t>(rows) * static_cast<std::size_t>(cols));
    for (float& v : values) v = normal(random_);
    out_[module + ".weight"] = make_f32({rows, cols}, values);
  }
  void vector(const std::string& name, int size, float mean) {
    std::normal_distribution<float> normal(mean, 0.1F);
    std::vector<float> values(static_cast<std::size_t>(size));
    for (float& v : values) v = normal(random_);
    out_[name] = make_f32({size}, values);
  }
  void network(const std::string& prefix, const char* gate, const char* up, const char* down,
               int inner) {
    matrix(prefix + gate, inner, s_.hidden, 2);
    matrix(prefix + up, inner, s_.hidden, 2);
    matrix(prefix + down, s_.hidden, inner, 1);
  }

  void layer(int number, const std::string& at) {
    const std::string attention = at + "self_attn.";
    const int q = s_.heads * s_.head_dim, kv = s_.kv_heads * s_.head_dim;
    matrix(attention + "q_proj", q, s_.hidden, 1);
    matrix(attention + "k_proj", kv, s_.hidden, 1);
    matrix(attention + "v_proj", kv, s_.hidden, 1);
    matrix(attention + "o_proj", s_.hidden, q, 1);
    if (s_.kind == Kind::kQwen2) {
      vector(attention + "q_proj.bias", q, 0);
      vector(attention + "k_proj.bias", kv, 0);
      vector(attention + "v_proj.bias", kv, 0);
    }
    if (s_.kind == Kind::kQwen3) {
      vector(attention + "q_norm.weight", s_.head_dim, 1);
      vector(attention + "k_norm.weight", s_.head_dim, 1);
    }
    vector(at + "input_layernorm.weight", s_.hidden, 1);
    vector(at + "post_attention_layernorm.weight", s_.hidden, 1);

    const bool mixtral = s_.kind == Kind::kMixtral;
    const std::string block = at + (mixtral ? "block_sparse_moe." : "mlp.");
    if (std::find(s_.dense_layers.begin(), s_.dense_layers.end(), number) !=
        s_.dense_layers.end()) {
      network(block, "gate_proj", "up_proj", "down_proj", s_.dense_inner);
      return;
    }
    matrix(block + "gate", s_.experts, s_.hidden, 2);
    for (int e = 0; e < s_.experts; ++e) {
      const std::string expert = block + fmt::format("experts.{}.", e);
      if (mixtral) {
        network(expert, "w1", "w3", "w2", s_.inner);
      } else {
        network(expert, "gate_proj", "up_proj", "down_proj", s_.inner);
      }
    }
    if (s_.kind == Kind::kQwen2) {
      network(block + "shared_expert.", "gate_proj", "up_proj", "down_proj", s_.shared_inner);
      matrix(block + "shared_expert_gate", 1, s_.hidden, 1);
    }
  }

  const Shape& s_;
  std::mt19937& random_;
  TensorFile out_;
};

}  // namespace

std::string write_random_moe(std::mt19937& random, const std::filesystem::path& folder) {
  const Shape shape = random_shape(random);
  const TempDir wide;
  write_tensor_file(wide.path() / "model.safetensors", Writer(shape, random).tensors());
  std::ofstream(wide.path() / "config.json") << config_of(shape).dump(2) << '\n';
  write_quantized_folder(wide.path(), folder);
  return fmt::format("kind {}, {} layers ({} dense), {} experts, top {}, {} x {}",
                     static_cast<int>(shape.kind), shape.layers, shape.dense_layers.size(),
                     shape.experts, shape.top_k, shape.hidden, shape.inner);
}

}  // namespace haq::test
