// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "engine/base/progress.h"
#include "engine/device/device.h"
#include "engine/nn/layer.h"
#include "engine/nn/rope.h"
#include "engine/quant/arithmetic/matrix.h"
#include "engine/quant/layers/activation_store.h"

namespace haq::quant {

/// Takes sequences through parts of a model in batches of whole sequences. One thread at a time.
class BatchRunner {
 public:
  /// `step_tokens`: most rows of a batch (a longer sequence is a batch of its own).
  BatchRunner(std::shared_ptr<device::Device> device, const model::ModelConfig& config,
              std::span<const std::vector<std::int32_t>> sequences, std::int64_t step_tokens);

  struct Batch {
    std::int64_t first_row = 0, rows = 0;
    std::span<const std::int32_t> ids;
    std::span<const std::int64_t> lengths;  ///< of the sequences
  };
  using Body = std::function<void(const nn::Step& step, const Batch& batch)>;

  std::int64_t tokens() const { return static_cast<std::int64_t>(ids_.size()); }
  std::span<const std::int64_t> lengths() const { return lengths_; }
  /// Calls `body` for every batch, in order, with empty caches of one layer. The step knows the
  /// configuration of `layer` alone (-1: of none), so blocks are called with layer number 0. `on`
  /// stands in for the device (a tap).
  void run(int layer, device::KvType type, const Body& body, const CancelToken& cancel,
           device::Device* on = nullptr);

  /// Rows of the store to Workspace::kResidual, and back.
  void load(const nn::Step& step, const Batch& batch, const ActivationStore& store) const;
  void save(const nn::Step& step, const Batch& batch, ActivationStore& store) const;

 private:
  device::KvCache& cache(device::KvType type, std::size_t index);

  std::shared_ptr<device::Device> device_;
  const model::ModelConfig& config_;
  std::vector<std::int32_t> ids_;
  std::vector<std::int64_t> lengths_;
  struct Extent {
    std::size_t first_sequence = 0, sequences = 0;
    std::int64_t first_row = 0, rows = 0;
  };
  std::vector<Extent> batches_;
  nn::Workspace workspace_;
  nn::RotaryTables rotary_;
  std::map<device::KvType, std::vector<std::unique_ptr<device::KvCache>>> caches_;
};

/// Rows in host memory, packed; `scratch` is used where the device's memory cannot be read.
ConstMatrixView host_rows(device::Device& device, const device::ConstRows& rows,
                          std::vector<float>& scratch);

}  // namespace haq::quant
