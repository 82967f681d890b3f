// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "engine/model/config.h"
#include "engine/model/config_fields.h"

/// What reads config.json: the parts all architectures share, and one function per architecture.
namespace haq::model {

// Limits of any size in a config; far above published models, low enough that every product of two
// or three of them stays inside int64.
constexpr int kMaxWidth = 131072;  ///< also the longest exact int8 dot product (numeric contract)
constexpr int kMaxVocab = 1 << 23;
constexpr int kMaxHeads = 4096;
constexpr int kMaxHeadDim = 1024;
constexpr int kMaxLayers = 4096;
constexpr int kMaxExperts = 4096;
constexpr std::int64_t kMaxPositions = std::int64_t{1} << 31;

/// Values transformers assumes when config.json does not mention them.
struct Defaults {
  double rope_theta = 10000.0;
  double norm_eps = 1e-6;
  int kv_heads = 0;  ///< 0: as many as heads
  int head_dim = 0;  ///< 0: hidden / heads
};

/// Sizes, norm epsilon, rotary, layers (all dense with intermediate_size), attention scale.
void read_decoder(const Fields& fields, ModelConfig& config, const Defaults& defaults);
/// Rotary settings of both spellings; `dim` rotated channels.
void read_rope(const Fields& fields, ModelConfig& config, double default_theta, int dim);
/// Experts of every layer: count from `count_key`, width from `width_key`, num_experts_per_tok.
void read_experts(const Fields& fields, ModelConfig& config, const char* count_key,
                  const char* width_key);
/// compressed-tensors settings, when there are any; see config_quantization.cpp.
void read_quantization(const Fields& fields, ModelConfig& config);
/// Refuses fields that change the result in some architecture but have no meaning for this one.
void check_unhandled_fields(const Fields& fields, const ModelConfig& config,
                            const std::vector<std::string>& handled);

void read_llama(const Fields& fields, ModelConfig& config);
void read_mistral(const Fields& fields, ModelConfig& config);
void read_mixtral(const Fields& fields, ModelConfig& config);
void read_opt(const Fields& fields, ModelConfig& config);
void read_qwen2(const Fields& fields, ModelConfig& config);
void read_qwen3(const Fields& fields, ModelConfig& config);
void read_qwen2_moe(const Fields& fields, ModelConfig& config);
void read_qwen3_moe(const Fields& fields, ModelConfig& config);
void read_olmoe(const Fields& fields, ModelConfig& config);
void read_granitemoe(const Fields& fields, ModelConfig& config);
void read_phimoe(const Fields& fields, ModelConfig& config);
void read_gpt_oss(const Fields& fields, ModelConfig& config);
void read_deepseek_v2(const Fields& fields, ModelConfig& config);

}  // namespace haq::model
