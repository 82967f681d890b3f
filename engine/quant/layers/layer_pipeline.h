// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "engine/base/progress.h"
#include "engine/base/threads.h"
#include "engine/device/device.h"
#include "engine/quant/arithmetic/smoothing.h"
#include "engine/quant/arithmetic/solver.h"
#include "engine/quant/folder/layer_output.h"
#include "engine/quant/report/report.h"
#include "engine/quant/transform/transformed_checkpoint.h"

namespace haq::quant {

/// Lets a person halt long work between two modules and go on later. Thread-safe.
class PauseToken {
 public:
  PauseToken();
  void pause() const;
  void resume() const;
  bool paused() const;
  /// Blocks while paused; throws kCancelled when `cancel` is set meanwhile.
  void wait(const CancelToken& cancel) const;
  /// How long work has stood still in wait() so far; threads that wait together count once.
  std::chrono::steady_clock::duration waited() const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

/// What is done to a layer. One code path; methods are settings of it.
struct LayerRecipe {
  SmoothingOptions norm_groups;   ///< attention-input, ffn-input, the latents
  SmoothingOptions inner_groups;  ///< value-output, up-down
  bool smooth_norm_groups = true, smooth_inner_groups = true;
  bool solve = true;  ///< Hessian-aware; false: plain rounding
  SolverOptions solver;
  bool experts_only = false;          ///< attention and dense layers stay 16-bit
  double all_expert_share = 1.0 / 8;  ///< of all tokens that also pass through every expert
  bool errors = true;                 ///< measure error_rtn, error_smooth, error_final
  /// rtn: nothing; smoothquant: fixed α of the family on the norm groups; gptq: solve alone; haq:
  /// all. The published α per family: 0.5 OPT, 0.8 Llama, Mistral, Mixtral and kin (Xiao et al.,
  /// arXiv 2211.10438 and its program).
  static LayerRecipe of(Method method, const model::ModelConfig& config);
  static LayerRecipe quick(Method method, const model::ModelConfig& config);  ///< for trials
};

struct PipelineOptions {
  std::int64_t step_tokens = 4096;                       ///< rows of one forward step
  std::size_t activation_budget = std::size_t{2} << 30;  ///< bytes kept in memory; more is spilled
  std::filesystem::path spill_folder;                    ///< for a nameless temporary file
};

struct PipelineEvents {
  ProgressCallback progress;  ///< stage text, units of work done and in all, of this layer
  std::function<void(const ModuleReport&)> module_done;  ///< on the calling thread
};

/// Carries calibration sequences through the model layer by layer, each layer fed by what its
/// already quantized predecessors put out. At any time the memory holds the activations (or their
/// spill file's window), one attention block or one expert per thread in float32 with its Hessians
/// (while the input of all experts is smoothed: their gate and up, or every n-th row of them, up to
/// 1 GiB), and the finished layer in int8. pass_layer() holds the whole layer in float32. One
/// thread at a time.
class LayerPipeline {
 public:
  LayerPipeline(std::shared_ptr<TransformedCheckpoint> model,
                std::shared_ptr<device::Device> device, ThreadPool& pool, PipelineOptions options);
  ~LayerPipeline();

  /// Embeds the sequences: the state before layer 0.
  void start(std::span<const std::vector<std::int32_t>> sequences);
  int next_layer() const;

  /// Gathers statistics of the next layer, smooths (folds into `model`), quantizes, and advances
  /// through the quantized layer. Throws kNumeric naming the module, kCancelled (the state is then
  /// only good for destruction).
  LayerOutput quantize_layer(const LayerRecipe& recipe, const PipelineEvents& events = {},
                             const CancelToken& cancel = {}, const PauseToken& pause = {});
  /// Advances through a layer that was finished before (resume): the same bits.
  void skip_layer(const LayerOutput& finished, const CancelToken& cancel = {});
  /// Advances through the layer as it is, in float32.
  void pass_layer(const CancelToken& cancel = {});

  /// After the last layer: calls `visit` with rows of logits [n, vocab] of consecutive tokens, all
  /// sequences in order. `last_rows` > 0: only of the last rows of each sequence.
  void logits(const std::function<void(std::int64_t first_row, ConstMatrixView rows)>& visit,
              const CancelToken& cancel = {}, std::int64_t last_rows = 0);
  /// Routing of the last advanced layer: ids [tokens, top_k]; empty for a dense one.
  std::span<const std::int32_t> routed_ids() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// The tensors outside the layers (embeddings, final norm, head, projections) as they are written.
LayerOutput global_tensors(const TransformedCheckpoint& model);

/// Tries no rotation and `seeds` rotations: each carries `sequences` through the model with
/// `recipe`, and the mean KL divergence of the logits from the source's decides; none wins unless
/// the gain is more than chance. First checks that each rotation leaves the float32 logits
/// unchanged; one that does not is left out with a notice.
struct RotationSearch {
  std::shared_ptr<const Rotation> best;  ///< null: none
  std::vector<RotationTrial> trials;
  std::vector<std::string> notices;
};
RotationSearch search_rotation(std::shared_ptr<const model::Checkpoint> source,
                               std::shared_ptr<device::Device> device, ThreadPool& pool,
                               std::span<const std::vector<std::int32_t>> sequences,
                               const LayerRecipe& recipe, std::span<const std::uint64_t> seeds,
                               bool allow_none, const PipelineOptions& options,
                               const ProgressCallback& progress = {},
                               const CancelToken& cancel = {});

}  // namespace haq::quant
