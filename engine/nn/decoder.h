// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "engine/base/progress.h"
#include "engine/device/device.h"
#include "engine/model/checkpoint.h"

namespace haq::nn {

enum class Compute {
  kAuto,  ///< W8A8 folders: int8; 16-bit folders: bf16; 32-bit folders: fp32
  kBf16,
  kFp32,
};

/// Most rows of one forward pass, over all segments.
constexpr int kMaxStepTokens = 8192;

struct DecoderOptions {
  Compute compute = Compute::kAuto;
  int prefill_chunk = 512;  ///< tokens per forward pass of a prompt, 1..8192
};

/// The tokens of one conversation and their keys and values.
class Sequence {
 public:
  virtual ~Sequence() = default;
  virtual std::int64_t length() const = 0;
  /// Forgets what lies behind the first `tokens`, and the planned length. Throws kInvalidArgument
  /// outside 0..length().
  virtual void truncate(std::int64_t tokens) = 0;
  virtual std::size_t kv_bytes() const = 0;
  /// Length the sequence will have when the current prompt is read in full; 0: not known. Only longrope
  /// models use it: their rotation changes when a sequence outgrows the original context, and the cached
  /// keys are then recomputed; told beforehand, a prompt read in chunks is computed once. The results
  /// are those of the planned length, whatever the chunk size.
  virtual void set_planned_length(std::int64_t tokens) = 0;
};

/// New tokens of one sequence in a step. Several segments make a batch.
struct Segment {
  Sequence* sequence = nullptr;
  std::span<const std::int32_t> ids;
  enum class Logits { kNone, kLast, kAll } logits = Logits::kLast;
  bool decode = false;  ///< one new token of an answer; only told to expert runners, changes nothing
  /// 1 or more: only the largest `top` logits are wanted, and those that equal or nearly equal the last
  /// of them (closer than 1e-6 of its magnitude). All others may come as -inf, which spares a
  /// decoded token half of the output head. The wanted ones have the same bits either way. 0: all.
  int top = 0;
};

/// Routing of one MoE layer in one step; valid during the callback.
struct RoutedStep {
  int layer = 0;
  std::int64_t tokens = 0;
  int top_k = 0;
  std::span<const std::int32_t> ids;      ///< [tokens, top_k], most probable first
  std::span<const float> weights;
  std::span<const float> router_logits;   ///< [tokens, experts]; only filled when hidden states are wanted
  bool decode = false;                    ///< every segment of the step decodes
  const CancelToken* cancel = nullptr;    ///< may be null; a runner looks at it between batches of experts
};

/// Optional taps. Callbacks run on the calling thread; rows come in segment order. An exception from a
/// callback ends the step as any other failure does.
struct Observer {
  std::function<void(const RoutedStep&)> routed;  ///< before the experts of the layer run
  /// layer -1: what enters layer 0; n: residual stream after layer n; layers: what enters lm_head.
  std::function<void(int layer, std::span<const float> rows, std::int64_t hidden)> hidden;
};

/// Computes the routed experts of a layer. The default runs all groups on the decoder's device;
/// the expert runtime (cache, placement, dispatch) replaces it without a change of the forward pass.
class ExpertRunner {
 public:
  virtual ~ExpertRunner() = default;
  /// `x` [T, hidden]; writes slot t * top_k + c for choice c of token t into `slots` [T*top_k, hidden].
  virtual void run(const RoutedStep& step, device::ConstRows x, device::Rows slots) = 0;
};

struct DecoderStats {
  std::size_t weight_bytes_per_token = 0;  ///< weights read for one decoded token (active experts)
  std::size_t mapped_bytes = 0;  ///< weights used in place from the file
  std::size_t packed_bytes = 0;  ///< copies packed for the matrix library so far; grows with the first prompts
  std::size_t owned_bytes = 0;   ///< weights in memory of their own (converted, synthetic)
  std::size_t head_bytes = 0;    ///< of weight_bytes_per_token, what the output head reads for all logits
  std::int64_t searched_rows = 0;       ///< rows of logits that came from a search for the largest
  std::size_t searched_head_bytes = 0;  ///< what the head read for them, all together
};

/// The decoder forward pass over one device. One thread at a time.
class Decoder {
 public:
  static std::unique_ptr<Decoder> load(std::shared_ptr<const model::Checkpoint> checkpoint,
                                       std::shared_ptr<device::Device> device, const DecoderOptions& options,
                                       const ProgressCallback& progress = {}, const CancelToken& cancel = {});
  virtual ~Decoder() = default;

  virtual std::unique_ptr<Sequence> new_sequence() = 0;
  /// Runs one step over all segments. Returns logits of the wanted rows, concatenated in segment order,
  /// [rows, vocab] float32 in host memory, valid until the next call. Appends to the sequences; on an
  /// exception the sequences keep their former length. Throws kInvalidArgument for ids outside the
  /// vocabulary, an empty segment, a sequence of another decoder or positions beyond the context, kLimit
  /// for more than kMaxStepTokens rows, kNumeric (naming the layer) for non-finite activations, kCancelled when
  /// `cancel` was set: it is looked at between layers and between batches of experts, so that a step of
  /// a long prompt stops soon (well under 100 ms on a desktop) without a change of the chunk size.
  virtual std::span<const float> forward(std::span<const Segment> segments, const Observer* observer = nullptr,
                                         const CancelToken* cancel = nullptr) = 0;
  virtual const model::ModelConfig& config() const = 0;
  virtual Compute compute() const = 0;  ///< the effective one, never kAuto
  virtual bool int8() const = 0;        ///< quantized linears run through the integer path
  virtual DecoderStats stats() const = 0;
  virtual device::Device& device() = 0;
  /// The prepared experts of a layer, on device(); empty in layers without routing.
  virtual std::span<const device::FfnSpec> experts(int layer) const = 0;
  virtual void set_expert_runner(std::shared_ptr<ExpertRunner> runner) = 0;  ///< null: the default
};

}  // namespace haq::nn
