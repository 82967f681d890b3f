// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "engine/device/host/kernels.h"
#include "engine/quant/layers/activation_store.h"
#include "engine/quant/layers/batch_runner.h"
#include "engine/quant/layers/layer_pipeline.h"

/// What the steps of one layer's quantization share.
namespace haq::quant {

/// Reports of a layer's progress: workers hand in finished modules, the calling thread passes them
/// on; cancel and pause are looked at between modules.
class WorkMonitor {
 public:
  WorkMonitor(const PipelineEvents& events, const CancelToken& cancel, const PauseToken& pause)
      : events_(events), cancel_(cancel), pause_(pause) {}

  const CancelToken& cancel() const { return cancel_; }
  /// Between two modules, on any thread. Throws kCancelled.
  void check() const { pause_.wait(cancel_); }
  /// Calling thread: the next part of the layer begins, a share [begin, end) of the whole in
  /// thousandths.
  void phase(int begin, int end, const std::string& what);
  /// Any thread: one of `total` pieces of the phase is done. Thread 0 is the calling one and shows
  /// what happened since.
  void piece_done(int thread, const char* piece, std::int64_t total);
  void module_done(const ModuleReport& report);
  /// Calling thread: passes on what workers have handed in.
  void deliver();

 private:
  void show(const std::string& text, std::int64_t done, std::int64_t total);

  const PipelineEvents& events_;
  const CancelToken& cancel_;
  const PauseToken& pause_;
  int begin_ = 0, end_ = 0;
  std::mutex mutex_;
  std::vector<ModuleReport> finished_;
  std::int64_t pieces_done_ = 0;
};

struct LayerWork {
  std::shared_ptr<TransformedCheckpoint> model;
  const model::ModelConfig& config;
  int layer;
  device::Device& device;
  ThreadPool& pool;
  BatchRunner& runner;
  ActivationStore& state;
  const LayerRecipe& recipe;
  WorkMonitor& monitor;
  std::vector<Group> groups;

  const Group* group(GroupKind kind, int expert = -1) const;
  /// Held as int8 in the written folder.
  bool quantizes(const ModuleId& id) const;
  bool has(model::Role role, int expert = -1) const { return model->has(role, layer, expert); }
  std::string name(const ModuleId& id) const {
    return model->quantized_name(id.role, id.layer, id.expert);
  }
};

/// The weights of a linear as float32, [out, in]. Throws kNumeric naming the module when one is not
/// finite.
LinearWeights read_linear(const model::Checkpoint& checkpoint, const ModuleId& id);
/// Several at once.
std::vector<LinearWeights> read_linears(LayerWork& work, const std::vector<ModuleId>& ids);
ConstMatrixView view_of(const LinearWeights& weights);

/// The host device's kernels, for rows that are worked on outside a device. Every table gives the
/// same bits; this is the fastest that the processor runs.
const device::host::KernelTable& host_kernels();

/// A norm on the host, for rows that are gathered one by one. Without a weight it copies. In place
/// allowed.
struct RowNorm {
  model::NormKind kind = model::NormKind::kRms;
  float eps = 0;
  std::vector<float> weight, bias;
  void apply(std::span<const float> x, std::span<float> out) const;
};
/// The norm between the residual stream and the block that `role` stands before; copies where the
/// norms come after the additions.
RowNorm row_norm(const model::Checkpoint& checkpoint, model::Role role, int layer);

/// These rows of the state.
Matrix sampled_state(const LayerWork& work, std::span<const std::int64_t> rows);

/// Rows of the transformed residual stream as the source's linears would read them: rotated back,
/// then through the source's norm.
Matrix source_rows(const TransformedCheckpoint& model, const Matrix& stream, model::Role norm,
                   int layer);

}  // namespace haq::quant
