// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/quant/layers/layer_pipeline.h"
#include "tests/support/tensor_file.h"

namespace haq::test {

using Sequences = std::vector<std::vector<std::int32_t>>;

/// Seeded ids; lengths differ by one or two from `length`.
Sequences random_sequences(const model::ModelConfig& config, int count, std::int64_t length,
                           std::uint64_t seed = 1);

/// Changes the values of a float32 tensor.
void change(TensorFile& tensors, const std::string& name,
            const std::function<void(std::vector<float>&)>& edit);
/// For the llama model: two channels of every norm 50 times as large, what reads them made up for.
void plant_outliers(nlohmann::json& config, TensorFile& tensors);

struct RunSettings {
  int threads = 2;
  quant::PipelineOptions options;
  std::shared_ptr<const quant::Rotation> rotation;
  quant::PipelineEvents events;
  CancelToken cancel;
  quant::PauseToken pause;
};

/// Everything that a run over all layers gives.
struct PipelineRun {
  std::shared_ptr<quant::TransformedCheckpoint> model;
  std::vector<quant::LayerOutput> layers;
  std::vector<float> logits;                      ///< of all rows
  std::vector<std::vector<std::int32_t>> routed;  ///< by layer
};
PipelineRun run_pipeline(const std::shared_ptr<const model::Checkpoint>& source,
                         const quant::LayerRecipe& recipe, const Sequences& sequences,
                         const RunSettings& settings = {});
/// The same with layers that were finished before.
PipelineRun resume_pipeline(const std::shared_ptr<const model::Checkpoint>& source,
                            const std::vector<quant::LayerOutput>& layers,
                            const Sequences& sequences, const RunSettings& settings = {});
/// In float32, nothing quantized.
std::vector<float> float32_logits(const std::shared_ptr<const model::Checkpoint>& source,
                                  const Sequences& sequences,
                                  const std::shared_ptr<const quant::Rotation>& rotation = nullptr);

/// All tensors have the same names, types, shapes and bytes.
bool same_tensors(const quant::LayerOutput& a, const quant::LayerOutput& b);
bool equal_bits(const std::vector<float>& a, const std::vector<float>& b);
const quant::OutputTensor* find_tensor(const quant::LayerOutput& layer, const std::string& name);
/// Mean over the modules of a run.
double mean_error(const PipelineRun& run, double quant::ModuleReport::*error);

}  // namespace haq::test
