// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/nn/decoder.h"
#include "engine/nn/default_expert_runner.h"
#include "engine/nn/ffn_block.h"
#include "engine/nn/output_head.h"
#include "engine/nn/rope.h"
#include "engine/nn/sequence.h"
#include "engine/nn/step.h"
#include "engine/nn/weights.h"
#include "engine/nn/workspace.h"

namespace haq::nn {

/// The forward pass. What a model does follows from its ModelConfig alone.
class DecoderImpl final : public Decoder {
 public:
  DecoderImpl(std::shared_ptr<const model::Checkpoint> checkpoint,
              std::shared_ptr<device::Device> device, const ComputePlan& plan, int prefill_chunk,
              DecoderWeights weights);

  std::unique_ptr<Sequence> new_sequence() override;
  std::span<const float> forward(std::span<const Segment> segments, const Observer* observer,
                                 const CancelToken* cancel) override;
  const model::ModelConfig& config() const override { return config_; }
  Compute compute() const override { return plan_.compute; }
  bool int8() const override { return plan_.int8; }
  DecoderStats stats() const override;
  device::Device& device() override { return *device_; }
  std::span<const device::FfnSpec> experts(int layer) const override {
    return layer_weights(layer).experts;
  }
  void set_expert_runner(std::shared_ptr<ExpertRunner> runner) override;

 private:
  std::int64_t check_segments(std::span<const Segment> segments) const;
  void check_segment(std::span<const Segment> segments, std::size_t index) const;
  void rotate_anew(const Segment& segment, const CancelToken* cancel);
  void begin_step();
  void add_to_step(CachedSequence& sequence, std::int64_t first_position,
                   std::span<const std::int32_t> ids, std::int64_t rotation_length);
  Step make_step(bool decode, const CancelToken* cancel);
  void run_layers(const Step& step, const Observer* observer);
  void commit(std::span<const Segment> segments);
  const LayerWeights& layer_weights(int layer) const {
    return weights_.layers[static_cast<std::size_t>(layer)];
  }
  /// Sets `complete` to whether all logits are there, not only the largest.
  std::span<const float> logits_of(std::span<const Segment> segments, const Step& step,
                                   bool& complete);
  device::Rows select_rows(std::span<const Segment> segments, const Step& step);
  void show_hidden(const Observer* observer, int layer, const device::Rows& rows);
  std::span<const float> on_host(const device::Rows& rows);
  bool finite(const device::Rows& rows);
  [[noreturn]] void report_non_finite(const Step& step);

  std::shared_ptr<const model::Checkpoint> checkpoint_;
  std::shared_ptr<device::Device> device_;
  const model::ModelConfig& config_;
  ComputePlan plan_;
  int prefill_chunk_;
  bool host_memory_;
  DecoderWeights weights_;
  RotaryTables rotary_;
  Workspace workspace_;
  DefaultExpertRunner default_runner_;
  FfnBlock ffn_;
  std::shared_ptr<ExpertRunner> runner_;
  OutputHead head_;

  std::vector<StepSegment> step_segments_;
  std::vector<std::int32_t> ids_, positions_;
  std::unique_ptr<device::Buffer> logits_;
  std::vector<float> host_rows_;  // copies for devices whose memory the host cannot read
  std::vector<float> host_logits_;
};

}  // namespace haq::nn
