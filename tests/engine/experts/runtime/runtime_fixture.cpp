// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/engine/experts/runtime/runtime_fixture.h"

#include <algorithm>

#include "engine/device/emulated/emulated_device.h"
#include "tests/support/quantized_folder.h"

namespace haq::test {

TestMoe::TestMoe(const std::string& model, bool int8) {
  LoadSettings settings;
  if (int8) {
    write_quantized_folder(golden_model_dir(model), folder_.path());
    settings.compute = nn::Compute::kAuto;
  }
  decoder_ = load_decoder(int8 ? folder_.path() : golden_model_dir(model), settings);
  ids_ = golden_cases(model).back().ids;
}

std::vector<float> TestMoe::run(std::size_t chunk, std::size_t decoded,
                                experts::Trace* seen) const {
  const experts::ExpertShape shape = experts::shape_of(*decoder_);
  nn::Observer observer;
  std::int64_t tokens = 0;
  if (seen != nullptr) {
    seen->shape = shape;
    tokens = seen->tokens();
    observer.routed = [&](const nn::RoutedStep& step) {
      int layer = 0;
      for (int i = 0; i < step.layer; ++i) layer += !decoder_->experts(i).empty();
      if (layer == 0) {
        seen->batches.push_back({tokens, step.tokens, 0, step.decode});
        tokens += step.tokens;
        seen->ids.resize(static_cast<std::size_t>(tokens * shape.layers * shape.top_k));
      }
      const std::int64_t first = seen->batches.back().first_token;
      for (std::size_t i = 0; i < step.ids.size(); ++i) {
        const auto token = first + static_cast<std::int64_t>(i) / shape.top_k;
        const auto at = (token * shape.layers + layer) * shape.top_k +
                        static_cast<std::int64_t>(i) % shape.top_k;
        seen->ids[static_cast<std::size_t>(at)] = static_cast<std::uint16_t>(step.ids[i]);
      }
    };
  }
  const std::unique_ptr<nn::Sequence> sequence = decoder_->new_sequence();
  std::vector<float> logits;
  const std::span<const std::int32_t> ids(ids_);
  for (std::size_t begin = 0; begin < ids.size();) {
    const bool decode = begin + decoded >= ids.size();
    const std::size_t count = decode ? 1 : std::min(chunk, ids.size() - decoded - begin);
    const nn::Segment segment{sequence.get(), ids.subspan(begin, count), nn::Segment::Logits::kAll,
                              decode};
    const std::span<const float> rows =
        decoder_->forward(std::span(&segment, 1), seen != nullptr ? &observer : nullptr);
    logits.insert(logits.end(), rows.begin(), rows.end());
    begin += count;
  }
  return logits;
}

experts::CostTable some_costs() {
  experts::CostTable costs;
  costs.cpu = {{1, 104}, {512, 100 + 4.0 * 512}};
  costs.device = {{1, 10}, {512, 40}};
  costs.upload_fixed_us = 10;
  costs.link_gb_s = 20;
  costs.expert_bytes = 1e6;
  costs.source = "stated";
  return costs;
}

std::shared_ptr<device::SlotDevice> quick_device(std::size_t memory_bytes) {
  device::EmulatedOptions options;
  options.pace_link = false;
  options.memory_bytes = memory_bytes;
  return device::make_emulated_device(options);
}

experts::RuntimeOptions runtime_options(const experts::ExpertShape& shape,
                                        const std::string& policy, int capacity,
                                        experts::MissMode miss) {
  experts::RuntimeOptions options;
  options.policy = policy;
  options.capacity = capacity;
  options.miss = miss;
  options.policy_options.costs = some_costs();
  for (int i = 0; i < capacity / 2; ++i) {
    options.policy_options.plan.push_back(i * 2 % shape.total() + i * 2 / shape.total());
  }
  return options;
}

std::vector<int> some_capacities(const experts::ExpertShape& shape) {
  return {0, 1, shape.top_k - 1, shape.total() / 4, shape.total()};
}

}  // namespace haq::test
