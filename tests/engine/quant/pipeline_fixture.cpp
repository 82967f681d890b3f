// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/engine/quant/pipeline_fixture.h"

#include <cstring>
#include <functional>
#include <random>

#include "engine/device/host/host_device.h"

namespace haq::test {
namespace {

using Step = std::function<void(quant::LayerPipeline& pipeline, int layer)>;

PipelineRun run(const std::shared_ptr<const model::Checkpoint>& source, const Sequences& sequences,
                const RunSettings& settings, const Step& step) {
  device::HostOptions host;
  host.threads = settings.threads;
  ThreadPool pool(settings.threads);
  PipelineRun result;
  result.model = std::make_shared<quant::TransformedCheckpoint>(source, settings.rotation);
  quant::LayerPipeline pipeline(result.model, device::make_host_device(host), pool,
                                settings.options);
  pipeline.start(sequences);
  for (int layer = 0; layer < source->config().layer_count(); ++layer) {
    step(pipeline, layer);
    const std::span<const std::int32_t> ids = pipeline.routed_ids();
    result.routed.emplace_back(ids.begin(), ids.end());
  }
  pipeline.logits([&](std::int64_t, quant::ConstMatrixView rows) {
    result.logits.insert(result.logits.end(), rows.data, rows.data + rows.rows * rows.cols);
  });
  return result;
}

/// Multiplies channel `channel` of an input by `factor` without changing what the network computes.
void plant(TensorFile& tensors, const std::string& norm, const std::vector<std::string>& readers,
           std::size_t channel, float factor) {
  change(tensors, norm, [&](std::vector<float>& values) { values[channel] *= factor; });
  for (const std::string& reader : readers) {
    const auto columns = static_cast<std::size_t>(tensors.at(reader).shape[1]);
    change(tensors, reader, [&](std::vector<float>& values) {
      for (std::size_t i = channel; i < values.size(); i += columns) values[i] /= factor;
    });
  }
}

}  // namespace

void change(TensorFile& tensors, const std::string& name,
            const std::function<void(std::vector<float>&)>& edit) {
  TestTensor& tensor = tensors.at(name);
  std::vector<float> values = tensor.floats();
  edit(values);
  tensor = test::make_f32(tensor.shape, values);
}

void plant_outliers(nlohmann::json&, TensorFile& tensors) {
  for (int layer = 0; layer < 3; ++layer) {
    const std::string base = "model.layers." + std::to_string(layer) + ".";
    for (const std::size_t channel : {3U, 40U}) {
      plant(tensors, base + "input_layernorm.weight",
            {base + "self_attn.q_proj.weight", base + "self_attn.k_proj.weight",
             base + "self_attn.v_proj.weight"},
            channel, 50);
      plant(tensors, base + "post_attention_layernorm.weight",
            {base + "mlp.gate_proj.weight", base + "mlp.up_proj.weight"}, channel, 50);
    }
  }
}

Sequences random_sequences(const model::ModelConfig& config, int count, std::int64_t length,
                           std::uint64_t seed) {
  std::mt19937_64 random(seed);
  Sequences sequences;
  for (int index = 0; index < count; ++index) {
    auto& sequence = sequences.emplace_back();
    const std::int64_t own = length - index % 3;
    for (std::int64_t i = 0; i < own; ++i) {
      sequence.push_back(
          static_cast<std::int32_t>(random() % static_cast<std::uint64_t>(config.vocab)));
    }
  }
  return sequences;
}

PipelineRun run_pipeline(const std::shared_ptr<const model::Checkpoint>& source,
                         const quant::LayerRecipe& recipe, const Sequences& sequences,
                         const RunSettings& settings) {
  std::vector<quant::LayerOutput> layers;
  PipelineRun result = run(source, sequences, settings, [&](quant::LayerPipeline& pipeline, int) {
    layers.push_back(
        pipeline.quantize_layer(recipe, settings.events, settings.cancel, settings.pause));
  });
  result.layers = std::move(layers);
  return result;
}

PipelineRun resume_pipeline(const std::shared_ptr<const model::Checkpoint>& source,
                            const std::vector<quant::LayerOutput>& layers,
                            const Sequences& sequences, const RunSettings& settings) {
  return run(source, sequences, settings, [&](quant::LayerPipeline& pipeline, int layer) {
    pipeline.skip_layer(layers[static_cast<std::size_t>(layer)]);
  });
}

std::vector<float> float32_logits(const std::shared_ptr<const model::Checkpoint>& source,
                                  const Sequences& sequences,
                                  const std::shared_ptr<const quant::Rotation>& rotation) {
  RunSettings settings;
  settings.rotation = rotation;
  return run(source, sequences, settings,
             [](quant::LayerPipeline& pipeline, int) { pipeline.pass_layer(); })
      .logits;
}

bool same_tensors(const quant::LayerOutput& a, const quant::LayerOutput& b) {
  if (a.tensors.size() != b.tensors.size()) return false;
  for (std::size_t i = 0; i < a.tensors.size(); ++i) {
    const quant::OutputTensor &x = a.tensors[i], &y = b.tensors[i];
    if (x.name != y.name || x.dtype != y.dtype || x.shape != y.shape || x.bytes != y.bytes) {
      return false;
    }
  }
  return true;
}

bool equal_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

const quant::OutputTensor* find_tensor(const quant::LayerOutput& layer, const std::string& name) {
  for (const quant::OutputTensor& tensor : layer.tensors) {
    if (tensor.name == name) return &tensor;
  }
  return nullptr;
}

double mean_error(const PipelineRun& run, double quant::ModuleReport::*error) {
  double sum = 0;
  int count = 0;
  for (const quant::LayerOutput& layer : run.layers) {
    for (const quant::ModuleReport& report : layer.modules) {
      sum += report.*error;
      ++count;
    }
  }
  return sum / count;
}

}  // namespace haq::test
