// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/quant/layers/attention_quantizer.h"

#include <array>
#include <iterator>
#include <utility>

#include "engine/nn/weights.h"
#include "engine/quant/layers/linear_input.h"
#include "engine/quant/layers/tap_device.h"

namespace haq::quant {
namespace {

using model::Role;

constexpr std::uint64_t kSampleSeed = 0x61747465;

/// An input of the attention block while it is watched.
struct WatchedInput {
  std::vector<ModuleId> readers;
  GroupKind group{};
  const device::Linear* tap = nullptr;  ///< one of the readers
  bool from_stream = false;
};

class AttentionQuantizer {
 public:
  explicit AttentionQuantizer(LayerWork& work) : work_(work) {}

  LayerOutput run() {
    std::vector<ModuleResult> results;
    if (!work_.recipe.experts_only) {
      work_.monitor.phase(0, 150, "watching the attention");
      std::vector<LinearInput> inputs = observe();
      work_.monitor.phase(150, 180, "smoothing the attention");
      for (LinearInput& input : inputs) {
        work_.monitor.check();
        smooth_input(work_, input);
      }
      work_.monitor.phase(180, 250, "quantizing the attention");
      results = quantize_inputs(work_, inputs);
    }
    return collect(results);
  }

 private:
  std::vector<WatchedInput> watched(const nn::AttentionWeights& weights) const {
    const auto id = [&](Role role) { return ModuleId{role, work_.layer, -1}; };
    std::vector<WatchedInput> inputs;
    if (!work_.config.mla) {
      inputs.push_back({{id(Role::kQ), id(Role::kK), id(Role::kV)},
                        GroupKind::kAttentionInput,
                        weights.q.get(),
                        true});
    } else {
      const Role query = work_.has(Role::kQA) ? Role::kQA : Role::kQ;
      inputs.push_back(
          {{id(query), id(Role::kKvA)}, GroupKind::kAttentionInput, weights.kv_a.get(), true});
      if (weights.q_b) {
        inputs.push_back({{id(Role::kQB)}, GroupKind::kLatentQuery, weights.q_b.get(), false});
      }
      inputs.push_back({{id(Role::kKvB)}, GroupKind::kLatentKv, weights.kv_b.get(), false});
    }
    inputs.push_back({{id(Role::kO)}, GroupKind::kValueOutput, weights.o.get(), false});
    return inputs;
  }

  std::vector<LinearInput> observe() {
    const nn::ComputePlan plan{nn::Compute::kFp32, false};
    const std::array<nn::LayerWeights, 1> layers{
        nn::load_layer(*work_.model, work_.device, plan, work_.layer, nn::LayerPart::kAttention,
                       work_.monitor.cancel())};
    const std::vector<WatchedInput> watched_inputs = watched(layers[0].attention);
    const std::int64_t tokens = work_.runner.tokens();
    const std::vector<std::int64_t> sampled = sample_rows(
        tokens, kSharedSampleRows, kSampleSeed + static_cast<std::uint64_t>(work_.layer));
    TapDevice tap(work_.device);
    std::vector<InputObserver> observers;
    observers.reserve(watched_inputs.size());
    std::vector<float> scratch;
    for (const WatchedInput& input : watched_inputs) {
      observers.emplace_back(input.tap->in(), tokens, sampled, work_.recipe.solve, work_.pool);
      InputObserver& observer = observers.back();
      tap.watch(*input.tap, [this, &observer, &scratch](device::ConstRows rows) {
        const ConstMatrixView view = host_rows(work_.device, rows, scratch);
        observer.add(view.data, view.rows, view.cols);
      });
    }
    work_.runner.run(
        work_.layer, device::KvType::kF32,
        [&](const nn::Step& step, const BatchRunner::Batch& batch) {
          work_.monitor.check();
          work_.runner.load(step, batch, work_.state);
          nn::attention_half(step, layers[0], 0);
          work_.state.release(batch.first_row, batch.rows);
        },
        work_.monitor.cancel(), &tap);

    std::vector<LinearInput> inputs;
    for (std::size_t index = 0; index < watched_inputs.size(); ++index) {
      LinearInput& input = inputs.emplace_back();
      input.readers = watched_inputs[index].readers;
      input.group = work_.group(watched_inputs[index].group);
      input.statistics = observers[index].finish();
      if (!work_.recipe.errors) continue;
      input.source_sample = watched_inputs[index].from_stream
                                ? source_rows(*work_.model, sampled_state(work_, sampled),
                                              Role::kInputNorm, work_.layer)
                                : input.statistics.sample;
    }
    return inputs;
  }

  LayerOutput collect(std::vector<ModuleResult>& results) const {
    LayerOutput output;
    output.layer = work_.layer;
    const auto append = [&](std::vector<OutputTensor> tensors) {
      std::move(tensors.begin(), tensors.end(), std::back_inserter(output.tensors));
    };
    constexpr std::array kRoles = {Role::kInputNorm, Role::kQ,    Role::kK,       Role::kV,
                                   Role::kO,         Role::kQA,   Role::kQANorm,  Role::kQB,
                                   Role::kKvA,       Role::kKvB,  Role::kKvANorm, Role::kQNorm,
                                   Role::kKNorm,     Role::kSinks};
    for (const Role role : kRoles) {
      const ModuleId id{role, work_.layer, -1};
      if (work_.has(role) && !work_.quantizes(id)) append(plain_tensors(*work_.model, id));
    }
    for (ModuleResult& result : results) {
      append(std::move(result.tensors));
      output.modules.push_back(std::move(result.report));
    }
    return output;
  }

  LayerWork& work_;
};

}  // namespace

LayerOutput quantize_attention(LayerWork& work) {
  return AttentionQuantizer(work).run();
}

}  // namespace haq::quant
