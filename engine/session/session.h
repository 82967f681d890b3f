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

#include "engine/base/memory.h"
#include "engine/base/progress.h"
#include "engine/model/checkpoint.h"
#include "engine/nn/decoder.h"
#include "engine/session/sampler.h"
#include "engine/text/chat_template.h"
#include "engine/text/tokenizer.h"

namespace haq::session {

struct LoadOptions {
  std::filesystem::path folder;  ///< empty: the demo model (or `synthetic`)
  std::string synthetic;         ///< a shape name instead of a folder
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
  static std::shared_ptr<Model> load(const LoadOptions& options,
                                     const ProgressCallback& progress = {},
                                     const CancelToken& cancel = {});

  const model::Checkpoint& checkpoint() const { return *checkpoint_; }
  const text::Tokenizer& tokenizer() const;  ///< throws kNotFound if the folder has none
  bool has_tokenizer() const { return tokenizer_ != nullptr; }
  const text::ChatTemplate* chat_template() const { return template_.get(); }
  nn::Decoder& decoder() { return *decoder_; }
  int prefill_chunk() const { return prefill_chunk_; }  ///< tokens per step of a prompt
  int threads() const { return threads_; }              ///< worker threads, the caller included
  std::int64_t max_context() const { return checkpoint_->config().max_positions; }
  /// For chat and the window: generation_config.json over the program's defaults (temperature 0.7,
  /// top-k 50, top-p 0.95, the rest off). `do_sample: false` means greedy.
  SamplingOptions chat_sampling() const;
  /// Ids that end an answer (config and generation_config).
  const std::vector<std::int64_t>& eos_ids() const { return eos_ids_; }
  double load_seconds() const { return load_seconds_; }

  /// Renders messages (ordered JSON array of {role, content, ...}) and encodes them. Text from
  /// messages never becomes a special token unless `parse_special`. Throws kNotFound without a chat
  /// template.
  std::vector<std::int32_t> chat_prompt(const nlohmann::ordered_json& messages,
                                        bool parse_special = false,
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
  int prefill_chunk_ = 512;
  int threads_ = 1;
};

using haq::available_memory;
using haq::format_bytes;
using haq::peak_rss_bytes;

/// Bytes of a model's weights that are used where they lie in the file: the system may drop and read
/// them again, so that a model larger than the memory still runs, slowly. 0 where a file's form
/// makes the loader convert them (float16, float32 under bf16, gpt-oss before quantization).
std::int64_t weights_in_place(const model::Checkpoint& checkpoint,
                              const model::MemoryEstimate& estimate, nn::Compute compute);

/// Refuses (kOutOfMemory, with every term in the message) when `estimate`, less the weights that are
/// used `in_place` and the packed copies that are only made while memory is plentiful, exceeds
/// `available`; an unknown `available` (0) lets everything pass. A model that passes by that alone is
/// logged as a warning with the numbers.
void check_memory(const model::MemoryEstimate& estimate, std::uint64_t available,
                  const std::string& model_name, std::int64_t in_place = 0);

enum class FinishReason { kEos, kStop, kLength, kContext, kCancelled };
const char* to_string(FinishReason reason);  ///< eos, stop, length, context, cancelled

struct GenerateOptions {
  SamplingOptions sampling;
  int max_tokens = 256;
  std::vector<std::string> stop;  ///< the text ends before the first of these
  bool digest = false;
  bool ignore_eos = false;  ///< for benchmarks
  nn::Observer observer;
};

/// One step of an answer. Text that may be the start of a stop string is held back; what is left of
/// it at the end comes in a last call with id -1.
struct GeneratedToken {
  std::int32_t id = 0;
  std::string text;  ///< to append to the screen; may be empty
  std::int64_t index = 0;
};

struct GenerateResult {
  std::vector<std::int32_t> ids;  ///< generated, without the stop id
  std::string text;               ///< without stop string and special tokens
  FinishReason finish = FinishReason::kLength;
  std::int64_t prompt_tokens = 0;
  std::int64_t reused_tokens = 0;  ///< prompt tokens whose keys and values were already there
  std::int64_t generated_tokens = 0;
  double ttft_s = 0;  ///< from the call to the first token
  double prefill_s = 0, decode_s = 0;
  double prefill_tokens_per_s = 0, decode_tokens_per_s = 0;
  /// Hash128 over the little-endian float32 logits of every row from which an id was drawn, the
  /// stop id's included; only with GenerateOptions::digest.
  std::string digest;
};

/// One running conversation with its KV cache: a prompt that starts with what the cache holds
/// computes only the rest (at least its last token). One thread at a time, and one context of a
/// model at a time.
class Context {
 public:
  explicit Context(std::shared_ptr<Model> model);
  ~Context();
  /// Called per token on the calling thread; return false to stop (finish: cancelled).
  using TokenCallback = std::function<bool(const GeneratedToken&)>;
  /// Reads the prompt and writes an answer. `cancel` ends it within one layer's work, with what
  /// there is (finish: cancelled); `on_prefill` is called while the prompt is read: tokens done /
  /// total. Throws kInvalidArgument for an empty prompt, ids outside the vocabulary or options out
  /// of range, kLimit for a prompt longer than the model's context, and what the forward pass
  /// throws; the cache stays usable.
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
  int dropped_messages = 0;  ///< oldest turns left out (never the system message)
};
/// Renders and, under kDropOldest, leaves out the oldest turns (a user message and all that follows
/// it up to the next one) until the prompt and `reserve` tokens for the answer fit; when only the
/// last turn is left, a prompt that leaves less room than `reserve` is accepted (the answer then
/// ends with `context`). Throws kLimit, with the numbers, when the prompt itself leaves no room;
/// under kStop at once.
FittedPrompt fit_chat(const Model& model, const nlohmann::ordered_json& messages,
                      std::int64_t reserve, OverflowPolicy policy, bool parse_special = false);

}  // namespace haq::session
