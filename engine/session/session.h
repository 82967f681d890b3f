// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/base/progress.h"
#include "engine/model/checkpoint.h"
#include "engine/nn/decoder.h"
#include "engine/session/sampler.h"
#include "engine/text/chat_template.h"
#include "engine/text/tokenizer.h"

namespace haq::session {

struct LoadOptions {
  std::filesystem::path folder;   ///< empty: the demo model (or `synthetic`)
  std::string synthetic;          ///< a shape name instead of a folder
  bool synthetic_quantized = false;
  nn::Compute compute = nn::Compute::kAuto;
  int threads = 0;
  int prefill_chunk = 512;
};

/// A loaded model: checkpoint, tokenizer, template, decoder on a device. The parts that only read
/// (tokenizer, template, checkpoint) are thread-safe; generation is one at a time.
class Model {
 public:
  /// Long; reports progress and can be cancelled (kCancelled). Refuses early with numbers when the
  /// memory estimate exceeds what the machine has (kOutOfMemory).
  static std::shared_ptr<Model> load(const LoadOptions& options, const ProgressCallback& progress = {},
                                     const CancelToken& cancel = {});

  const model::Checkpoint& checkpoint() const { return *checkpoint_; }
  const text::Tokenizer& tokenizer() const;        ///< throws kNotFound if the folder has none
  const text::ChatTemplate* chat_template() const { return template_.get(); }
  nn::Decoder& decoder() { return *decoder_; }
  std::int64_t max_context() const { return checkpoint_->config().max_positions; }
  /// generation_config.json over the program's defaults, for chat and the window.
  SamplingOptions chat_sampling() const;
  /// Ids that end an answer (config and generation_config).
  const std::vector<std::int64_t>& eos_ids() const { return eos_ids_; }
  double load_seconds() const { return load_seconds_; }

  /// Renders messages (ordered JSON array of {role, content, ...}) and encodes them.
  std::vector<std::int32_t> chat_prompt(const nlohmann::ordered_json& messages, bool parse_special = false,
                                        bool add_generation_prompt = true) const;

 private:
  friend struct ModelLoader;
  Model() = default;
  std::shared_ptr<const model::Checkpoint> checkpoint_;
  std::shared_ptr<const text::Tokenizer> tokenizer_;
  std::shared_ptr<const text::ChatTemplate> template_;
  std::unique_ptr<nn::Decoder> decoder_;
  std::vector<std::int64_t> eos_ids_;
  double load_seconds_ = 0;
};

enum class FinishReason { kEos, kStop, kLength, kContext, kCancelled };
const char* to_string(FinishReason reason);  ///< eos, stop, length, context, cancelled

struct GenerateOptions {
  SamplingOptions sampling;
  int max_tokens = 256;
  std::vector<std::string> stop;       ///< the text ends before the first of these
  bool digest = false;
  bool ignore_eos = false;             ///< for benchmarks
  nn::Observer observer;
};

struct GeneratedToken {
  std::int32_t id = 0;
  std::string text;                    ///< to append to the screen; may be empty
  std::int64_t index = 0;
};

struct GenerateResult {
  std::vector<std::int32_t> ids;       ///< generated, without the stop id
  std::string text;                    ///< without stop string and special tokens
  FinishReason finish = FinishReason::kLength;
  std::int64_t prompt_tokens = 0;
  std::int64_t reused_tokens = 0;      ///< prompt tokens whose keys and values were already there
  std::int64_t generated_tokens = 0;
  double ttft_s = 0;                   ///< from the call to the first token
  double prefill_s = 0, decode_s = 0;
  double prefill_tokens_per_s = 0, decode_tokens_per_s = 0;
  std::string digest;
};

/// One running conversation with its KV cache: a prompt that starts with what the cache holds
/// computes only the rest.
class Context {
 public:
  explicit Context(std::shared_ptr<Model> model);
  ~Context();
  /// Called per token on the calling thread; return false to stop (finish: cancelled).
  using TokenCallback = std::function<bool(const GeneratedToken&)>;
  /// Called while the prompt is read: tokens done / total.
  GenerateResult generate(std::span<const std::int32_t> prompt, const GenerateOptions& options,
                          const TokenCallback& on_token = {}, const CancelToken& cancel = {},
                          const ProgressCallback& on_prefill = {});
  std::int64_t cached_tokens() const;
  std::size_t kv_bytes() const;
  void clear();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

enum class OverflowPolicy { kStop, kDropOldest };
struct FittedPrompt {
  std::vector<std::int32_t> ids;
  int dropped_messages = 0;            ///< oldest turns left out (never the system message)
};
/// Renders and, under kDropOldest, leaves out the oldest user+assistant turns until the prompt and
/// `reserve` tokens for the answer fit. Throws kLimit when it cannot fit.
FittedPrompt fit_chat(const Model& model, const nlohmann::ordered_json& messages, std::int64_t reserve,
                      OverflowPolicy policy, bool parse_special = false);

}  // namespace haq::session
