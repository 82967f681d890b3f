// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/quant/layers/layer_pipeline.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <optional>
#include <utility>

#include "engine/base/error.h"
#include "engine/base/finite.h"
#include "engine/nn/default_expert_runner.h"
#include "engine/nn/ends.h"
#include "engine/quant/layers/attention_quantizer.h"
#include "engine/quant/layers/layer_work.h"
#include "engine/quant/layers/network_quantizer.h"

namespace haq::quant {
namespace {

using device::KvType;
using device::Rows;
using model::Role;
using nn::LayerPart;
using nn::Workspace;

constexpr nn::ComputePlan kExact{nn::Compute::kFp32, false};
/// A W8A8 folder: int8 linears, the rest in the fixed order.
constexpr nn::ComputePlan kInteger{nn::Compute::kBf16, true};
constexpr std::int64_t kLogitRows = 128;  ///< rows of logits at a time

}  // namespace

struct LayerPipeline::Impl {
  Impl(std::shared_ptr<TransformedCheckpoint> checkpoint, std::shared_ptr<device::Device> on,
       ThreadPool& threads, PipelineOptions settings)
      : model(std::move(checkpoint)),
        device(std::move(on)),
        pool(threads),
        options(std::move(settings)) {}

  std::shared_ptr<TransformedCheckpoint> model;
  std::shared_ptr<device::Device> device;
  ThreadPool& pool;
  PipelineOptions options;
  std::optional<BatchRunner> runner;
  std::optional<ActivationStore> state;
  int next_layer = 0;
  bool usable = false;  ///< false before start() and after a layer that did not finish
  std::vector<std::int32_t> routed_ids;

  const model::ModelConfig& config() const { return model->config(); }
  bool moe(int layer) const { return config().layers[static_cast<std::size_t>(layer)].moe; }

  void start(std::span<const std::vector<std::int32_t>> sequences) {
    usable = false;
    runner.emplace(device, config(), sequences, options.step_tokens);
    state.emplace(runner->tokens(), config().hidden, options.activation_budget,
                  options.spill_folder);
    const nn::DecoderWeights ends = nn::load_ends(*model, *device, kExact);
    std::vector<std::int32_t> positions;
    const auto body = [&](const nn::Step& step, const BatchRunner::Batch& batch) {
      nn::embed_tokens(step, ends, batch.ids, positions);
      save(step, batch, Role::kEmbedding, -1);
    };
    runner->run(-1, KvType::kF32, body, {});
    routed_ids.clear();
    next_layer = 0;
    usable = true;
  }

  /// Until end_layer() the state is of no use to anybody else.
  int begin_layer() {
    if (!usable) fail(ErrorCode::kInternal, "the pipeline has not been started or was stopped");
    if (next_layer >= config().layer_count()) {
      fail(ErrorCode::kInternal, "all {} layers are done", config().layer_count());
    }
    usable = false;
    return next_layer;
  }

  void end_layer() {
    ++next_layer;
    usable = true;
  }

  /// Back to the store; the module of `role` is named when a value is not finite.
  void save(const nn::Step& step, const BatchRunner::Batch& batch, Role role, int layer) {
    runner->save(step, batch, *state);
    const auto count = static_cast<std::size_t>(batch.rows * state->cols());
    if (!all_finite({state->row(batch.first_row), count})) {
      fail(ErrorCode::kNumeric, "{}: a non-finite value appeared in the output of {}",
           model->name(), model->module_name(role, layer, -1));
    }
    state->release(batch.first_row, batch.rows);
  }

  /// Moves the state through one layer, or half of it, as `checkpoint` holds it.
  void advance(const model::Checkpoint& checkpoint, const nn::ComputePlan& plan, LayerPart part,
               const CancelToken& cancel) {
    const int layer = next_layer;
    std::vector<nn::LayerWeights> weights;
    weights.push_back(nn::load_layer(checkpoint, *device, plan, layer, part, cancel));
    nn::DefaultExpertRunner experts(*device, weights);
    nn::FfnBlock ffn(config(), experts);
    std::int64_t first_choice = 0;
    nn::Observer observer;
    observer.routed = [&](const nn::RoutedStep& routed) {
      std::copy(routed.ids.begin(), routed.ids.end(), routed_ids.begin() + first_choice);
    };
    if (part != LayerPart::kAttention) {
      const std::int64_t choices = moe(layer) ? runner->tokens() * config().top_k : 0;
      routed_ids.assign(static_cast<std::size_t>(choices), 0);
    }
    const auto body = [&](const nn::Step& step, const BatchRunner::Batch& batch) {
      runner->load(step, batch, *state);
      first_choice = batch.first_row * config().top_k;
      if (part != LayerPart::kFfn) nn::attention_half(step, weights[0], 0);
      if (part != LayerPart::kAttention) nn::ffn_half(step, weights[0], 0, ffn, &observer);
      const Role network = moe(layer) ? Role::kRouter : Role::kDown;
      const Role last = part == LayerPart::kAttention ? Role::kO : network;
      save(step, batch, last, layer);
    };
    const bool exact = plan.compute == nn::Compute::kFp32;
    runner->run(layer, exact ? KvType::kF32 : KvType::kBF16, body, cancel);
  }

  model::ModelConfig quantized_config() const {
    model::ModelConfig result = config();
    result.quantized = true;
    return result;
  }

  /// Moves the state through a half that has just been quantized; hands the tensors back.
  LayerOutput advance_half(LayerOutput half, LayerPart part, const CancelToken& cancel) {
    const auto shared = std::make_shared<LayerOutput>(std::move(half));
    advance(*make_part_checkpoint(model, quantized_config(), shared), kInteger, part, cancel);
    return std::move(*shared);
  }

  LayerOutput quantize_layer(const LayerRecipe& recipe, const PipelineEvents& events,
                             const CancelToken& cancel, const PauseToken& pause) {
    if (recipe.experts_only && config().experts == 0) {
      fail(ErrorCode::kInvalidArgument,
           "{}: a dense model has no experts; quantizing experts alone would change nothing",
           model->name());
    }
    const int layer = begin_layer();
    model->forget_layer(layer);
    WorkMonitor monitor(events, cancel, pause);
    LayerWork work{model,   config(), layer,  *device, pool,
                   *runner, *state,   recipe, monitor, smoothing_groups(config(), layer)};
    LayerOutput output = quantize_attention(work);
    monitor.phase(250, 300, "advancing through the attention");
    output = advance_half(std::move(output), LayerPart::kAttention, cancel);
    LayerOutput network = quantize_network(work);
    monitor.phase(920, 1000, "advancing through the networks");
    network = advance_half(std::move(network), LayerPart::kFfn, cancel);
    const auto append = [](auto& to, auto& from) {
      std::move(from.begin(), from.end(), std::back_inserter(to));
    };
    append(output.tensors, network.tensors);
    append(output.modules, network.modules);
    output.experts = std::move(network.experts);
    output.router_choices = network.router_choices;
    output.router_equal = network.router_equal;
    end_layer();
    return output;
  }

  using LogitVisit = std::function<void(std::int64_t first_row, ConstMatrixView rows)>;

  void logits(const LogitVisit& visit, std::int64_t last_rows, const CancelToken& cancel) {
    if (!usable || next_layer < config().layer_count()) {
      fail(ErrorCode::kInternal, "logits before the last layer");
    }
    const nn::DecoderWeights ends = nn::load_ends(*model, *device, kExact, cancel);
    const std::int64_t vocab = ends.head->out();
    const std::size_t bytes = static_cast<std::size_t>(kLogitRows * vocab) * sizeof(float);
    const auto buffer = device->allocate(bytes);
    std::vector<float> scratch;
    const auto body = [&](const nn::Step& step, const BatchRunner::Batch& batch) {
      runner->load(step, batch, *state);
      state->release(batch.first_row, batch.rows);
      const Rows residual = step.rows(Workspace::kResidual);
      std::int64_t sequence_end = 0;
      for (const std::int64_t length : batch.lengths) {
        sequence_end += length;
        const std::int64_t wanted = last_rows > 0 ? std::min(last_rows, length) : length;
        for (std::int64_t row = sequence_end - wanted; row < sequence_end; row += kLogitRows) {
          cancel.check();
          const std::int64_t count = std::min(kLogitRows, sequence_end - row);
          const Rows input = nn::row_range(residual, row, count);
          const Rows out{static_cast<float*>(buffer->data()), count, vocab, vocab};
          const std::array<device::Device::LinearCall, 1> call{
              device::Device::LinearCall{ends.head.get(), out}};
          device->linear(nn::head_input(step, ends, input, input), call);
          if (config().logits_divisor != 1) device->scale(out, 1 / config().logits_divisor);
          visit(batch.first_row + row, host_rows(*device, out, scratch));
        }
      }
    };
    runner->run(-1, KvType::kF32, body, cancel);
  }
};

LayerPipeline::LayerPipeline(std::shared_ptr<TransformedCheckpoint> model,
                             std::shared_ptr<device::Device> device, ThreadPool& pool,
                             PipelineOptions options)
    : impl_(std::make_unique<Impl>(std::move(model), std::move(device), pool, std::move(options))) {
}

LayerPipeline::~LayerPipeline() = default;

void LayerPipeline::start(std::span<const std::vector<std::int32_t>> sequences) {
  impl_->start(sequences);
}

int LayerPipeline::next_layer() const {
  return impl_->next_layer;
}

LayerOutput LayerPipeline::quantize_layer(const LayerRecipe& recipe, const PipelineEvents& events,
                                          const CancelToken& cancel, const PauseToken& pause) {
  return impl_->quantize_layer(recipe, events, cancel, pause);
}

void LayerPipeline::skip_layer(const LayerOutput& finished, const CancelToken& cancel) {
  impl_->begin_layer();
  const auto checkpoint = make_layer_checkpoint(impl_->model, impl_->quantized_config(), finished);
  impl_->advance(*checkpoint, kInteger, LayerPart::kAll, cancel);
  impl_->end_layer();
}

void LayerPipeline::pass_layer(const CancelToken& cancel) {
  impl_->begin_layer();
  impl_->advance(*impl_->model, kExact, LayerPart::kAll, cancel);
  impl_->end_layer();
}

void LayerPipeline::logits(
    const std::function<void(std::int64_t first_row, ConstMatrixView rows)>& visit,
    const CancelToken& cancel, std::int64_t last_rows) {
  impl_->logits(visit, last_rows, cancel);
}

std::span<const std::int32_t> LayerPipeline::routed_ids() const {
  return impl_->routed_ids;
}

}  // namespace haq::quant
