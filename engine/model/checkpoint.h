// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/progress.h"
#include "engine/base/tensor.h"
#include "engine/model/config.h"

namespace haq::model {

/// What a weight does in the network; the architecture table maps (role, layer, expert) to tensors.
enum class Role {
  kEmbedding, kPositionEmbedding, kProjectIn, kProjectOut, kFinalNorm, kLmHead,
  kInputNorm, kPostAttentionNorm,              // per layer; OPT: self_attn_layer_norm, final_layer_norm
  kQ, kK, kV, kO, kQNorm, kKNorm, kSinks,
  kQA, kQANorm, kQB, kKvA, kKvANorm, kKvB,     // MLA
  kRouter,
  kGate, kUp, kDown,                           // dense FFN (expert < 0) or one expert; OPT: kUp = fc1, kDown = fc2
  kSharedGate, kSharedUp, kSharedDown, kSharedExpertGate,
};

/// Parameter counts and byte sizes by class; "active" counts what one token touches, with all of the
/// embedding table, as published figures do ("30B-A3B").
struct ParameterSummary {
  std::int64_t total = 0, active = 0;
  std::map<std::string, std::int64_t> by_class;  ///< embedding, attention, router, experts, shared, dense, norm, head
  std::int64_t expert_parameters = 0;            ///< of one routed expert
  std::int64_t bytes16 = 0, bytes8 = 0;          ///< whole model with 16-bit weights / as W8A8
};

/// Memory needed to run with a context of N tokens, every term named, in bytes. A context beyond the
/// model's is cut to it. A file in float32 is always computed in float32.
struct MemoryEstimate {
  std::int64_t weights = 0;        ///< mapped or owned weights
  /// Copies for speed (upper bound): a large output head in int8, and what the GEMM library packs, but
  /// not of int8 weights: they are read as they are (copies for AMX only while memory is plentiful).
  std::int64_t packed = 0;
  std::int64_t kv_cache = 0;
  std::int64_t buffers = 0;        ///< activations of one prefill chunk
  std::int64_t total() const { return weights + packed + kv_cache + buffers; }
};

/// An opened model: a Hugging Face folder, or synthetic weights of a published shape. Immutable
/// after opening and safe to share between threads.
class Checkpoint {
 public:
  virtual ~Checkpoint() = default;

  /// Opens and checks a folder (config, shards, every tensor's presence, dtype and shape), without
  /// reading weight data. Throws Error naming file and field.
  static std::shared_ptr<const Checkpoint> open(const std::filesystem::path& folder);
  /// "olmoe-1b-7b", "mixtral-8x7b", "qwen3-30b-a3b", each optionally ":layers=N". Random weights of
  /// true shape, made on demand from `seed`; scaled so that activations stay finite.
  static std::shared_ptr<const Checkpoint> synthetic(const std::string& shape, bool quantized,
                                                     std::uint64_t seed = 1);

  /// Its eos_ids hold those of config.json and then those only generation_config.json has.
  const ModelConfig& config() const { return config_; }
  const GenerationDefaults& generation() const { return generation_; }
  const std::filesystem::path& folder() const { return folder_; }  ///< empty for synthetic ones
  const std::string& name() const { return name_; }                ///< for display: folder or shape name
  bool is_synthetic() const { return folder_.empty(); }
  /// Weight file type for display: "bf16", "f16", "f32", "w8a8".
  std::string precision() const;

  /// The linear layer of a role, in canonical [out, in] form: fused layouts are split, transposed
  /// ones transposed, F16 converted to `f16_target` (kBF16 rounds; kF32 is exact). Zero-copy where
  /// the file already has that form. A tied kLmHead is the embedding table. In an int8 folder a linear
  /// that the file holds in 16 bits comes as it is. Checks for non-finite bias/scale (kNumeric).
  /// Throws kNotFound if absent.
  virtual LinearWeights linear(Role role, int layer = -1, int expert = -1,
                               DType f16_target = DType::kBF16) const = 0;
  /// A vector (norm weight, sinks) widened to float32.
  virtual std::vector<float> vector(Role role, int layer = -1) const = 0;
  /// The bias of a norm, empty if it has none.
  virtual std::vector<float> norm_bias(Role role, int layer = -1) const = 0;
  virtual bool has(Role role, int layer = -1, int expert = -1) const = 0;
  /// Checkpoint name of the module, for messages and reports ("model.layers.0.self_attn.q_proj").
  virtual std::string module_name(Role role, int layer = -1, int expert = -1) const = 0;
  /// Name of the module in an int8 folder made of this model. Differs from module_name() only where
  /// this checkpoint holds the experts of a layer in one fused tensor: the int8 layout
  /// (compressed-tensors) knows two-dimensional weights only, so there each expert is a module.
  virtual std::string quantized_name(Role role, int layer = -1, int expert = -1) const {
    return module_name(role, layer, expert);
  }

  ParameterSummary parameters() const;
  MemoryEstimate memory(std::int64_t context, bool fp32_mode, int prefill_chunk) const;

  /// Hash of config and all tensors (reads everything once, cached beside the user's data keyed by
  /// path, sizes and times). base_fingerprint: the 16-bit source's, for a quantized folder; equals
  /// fingerprint otherwise.
  virtual std::string fingerprint(const ProgressCallback& progress = {},
                                  const CancelToken& cancel = {}) const = 0;
  virtual std::string base_fingerprint() const = 0;

 protected:
  ModelConfig config_;
  GenerationDefaults generation_;
  std::filesystem::path folder_;
  std::string name_;
  DType weight_type_ = DType::kBF16;  ///< of the attention weights as stored
  std::int64_t weight_bytes_ = 0;     ///< of all tensors the model uses, as stored
};

/// The model that ships with the program.
std::filesystem::path demo_model_dir();
/// A small text that ships with it, for a first quantization without a text of one's own; empty when
/// it is not there.
std::filesystem::path demo_sample_text();

}  // namespace haq::model
