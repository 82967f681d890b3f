// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/engine/quant/transform_fixture.h"

#include <cmath>
#include <filesystem>
#include <fstream>
#include <random>
#include <stdexcept>

#include "engine/device/host/host_device.h"
#include "engine/nn/decoder.h"
#include "tests/support/golden.h"

namespace haq::test {

Float32Model::Float32Model(const std::string& golden_model, const Edit& edit) {
  const std::filesystem::path source = golden_model_dir(golden_model);
  const std::filesystem::path target = dir_.path() / golden_model;
  std::ifstream config_file(source / "config.json");
  nlohmann::json config = nlohmann::json::parse(config_file);
  TensorFile tensors;
  for (const auto& [name, tensor] : read_tensor_folder(source)) {
    tensors[name] = make_f32(tensor.shape, tensor.floats());
  }
  if (edit) edit(config, tensors);
  std::filesystem::create_directories(target);
  write_tensor_file(target / "model.safetensors", tensors);
  std::ofstream(target / "config.json") << config.dump(2) << '\n';
  checkpoint_ = model::Checkpoint::open(target);
}

TestTensor random_tensor(const std::vector<std::int64_t>& shape, std::uint64_t seed) {
  std::mt19937_64 generator(seed);
  std::normal_distribution<float> distribution(0, 0.125F);
  std::int64_t count = 1;
  for (const std::int64_t extent : shape) count *= extent;
  std::vector<float> values(static_cast<std::size_t>(count));
  for (float& value : values) value = distribution(generator);
  return make_f32(shape, values);
}

Pass run_float32(const std::shared_ptr<const model::Checkpoint>& checkpoint,
                 std::span<const std::int32_t> ids) {
  device::HostOptions host;
  host.threads = 1;
  nn::DecoderOptions options;
  options.compute = nn::Compute::kFp32;
  const auto decoder = nn::Decoder::load(checkpoint, device::make_host_device(host), options);
  Pass pass;
  nn::Observer observer;
  observer.routed = [&](const nn::RoutedStep& step) {
    pass.experts[step.layer].assign(step.ids.begin(), step.ids.end());
  };
  const std::unique_ptr<nn::Sequence> sequence = decoder->new_sequence();
  const nn::Segment segment{sequence.get(), ids, nn::Segment::Logits::kAll};
  const std::span<const float> logits = decoder->forward(std::span(&segment, 1), &observer);
  pass.logits.assign(logits.begin(), logits.end());
  return pass;
}

double relative_deviation(std::span<const float> values, std::span<const float> expected) {
  if (values.size() != expected.size()) throw std::runtime_error("rows of different length");
  double error = 0;
  double signal = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double difference = static_cast<double>(values[i]) - expected[i];
    error += difference * difference;
    signal += static_cast<double>(expected[i]) * expected[i];
  }
  return std::sqrt(error / signal);
}

std::vector<float> random_factors(std::int64_t count, std::uint64_t seed) {
  std::mt19937_64 generator(seed);
  std::lognormal_distribution<float> distribution(0, 0.5F);
  std::vector<float> factors(static_cast<std::size_t>(count));
  for (float& factor : factors) factor = distribution(generator);
  return factors;
}

int fold_random(quant::TransformedCheckpoint& checkpoint, std::uint64_t seed) {
  int folded = 0;
  for (int layer = 0; layer < checkpoint.config().layer_count(); ++layer) {
    for (const quant::Group& group : quant::smoothing_groups(checkpoint.config(), layer)) {
      if (!group.exact) continue;
      checkpoint.fold(group, random_factors(group.factors, seed++));
      ++folded;
    }
  }
  return folded;
}

}  // namespace haq::test
