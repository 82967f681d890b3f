// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <vector>

#include "engine/nn/decoder.h"
#include "engine/nn/weights.h"

namespace haq::nn {

/// Runs every routed expert on the decoder's own device: tokens grouped by expert, groups in
/// ascending expert order. Results do not depend on the grouping.
class DefaultExpertRunner final : public ExpertRunner {
 public:
  /// Both must outlive the runner.
  DefaultExpertRunner(device::Device& device, const std::vector<LayerWeights>& layers)
      : device_(device), layers_(layers) {}

  void run(const RoutedStep& step, device::ConstRows x, device::Rows slots) override;

 private:
  void group_by_expert(const RoutedStep& step, std::size_t experts);

  device::Device& device_;
  const std::vector<LayerWeights>& layers_;
  std::vector<std::int32_t> first_;  // per expert: where its rows begin in rows_ and slots_
  std::vector<std::int32_t> rows_, slots_;
  std::vector<device::FfnGroup> groups_;
};

}  // namespace haq::nn
