// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/quant/layers/batch_runner.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "engine/base/error.h"

namespace haq::quant {

using device::Rows;
using nn::Workspace;

BatchRunner::BatchRunner(std::shared_ptr<device::Device> device, const model::ModelConfig& config,
                         std::span<const std::vector<std::int32_t>> sequences,
                         std::int64_t step_tokens)
    : device_(std::move(device)),
      config_(config),
      workspace_(*device_, config),
      rotary_(device_, config.rope, config.max_positions) {
  std::int64_t longest = 0;
  for (const std::vector<std::int32_t>& sequence : sequences) {
    const auto length = static_cast<std::int64_t>(sequence.size());
    if (length < 1 || length > config.max_positions) {
      fail(ErrorCode::kInvalidArgument, "a sequence of {} tokens: expected 1 to {}", length,
           config.max_positions);
    }
    for (const std::int32_t id : sequence) {
      if (id >= 0 && id < config.vocab) continue;
      fail(ErrorCode::kInvalidArgument, "token id {}: expected 0 to {}", id, config.vocab - 1);
    }
    if (batches_.empty() || batches_.back().rows + length > step_tokens) {
      batches_.push_back({lengths_.size(), 0, tokens(), 0});
    }
    ++batches_.back().sequences;
    batches_.back().rows += length;
    longest = std::max(longest, length);
    lengths_.push_back(length);
    ids_.insert(ids_.end(), sequence.begin(), sequence.end());
  }
  if (ids_.empty()) fail(ErrorCode::kInvalidArgument, "no calibration sequences");
  rotary_.reserve(longest);
  std::int64_t most = 0;
  for (const Extent& batch : batches_) most = std::max(most, batch.rows);
  workspace_.reserve(most);
}

device::KvCache& BatchRunner::cache(device::KvType type, std::size_t index) {
  auto& caches = caches_[type];
  while (caches.size() <= index) {
    device::KvLayout layout;
    layout.layers = 1;
    layout.kv_heads = config_.mla ? config_.heads : config_.kv_heads;
    layout.k_dim = config_.head_dim;
    layout.v_dim = config_.v_head_dim;
    layout.type = type;
    caches.push_back(device_->make_kv_cache(layout));
  }
  return *caches[index];
}

void BatchRunner::run(int layer, device::KvType type, const Body& body, const CancelToken& cancel,
                      device::Device* on) {
  model::ModelConfig config = config_;
  if (layer >= 0) {
    config.layers = {config_.layers[static_cast<std::size_t>(layer)]};
  } else {
    config.layers.clear();
  }
  for (const Extent& extent : batches_) {
    cancel.check();
    std::vector<nn::StepSegment> segments;
    std::int64_t row = 0;
    for (std::size_t index = 0; index < extent.sequences; ++index) {
      const std::int64_t length = lengths_[extent.first_sequence + index];
      nn::StepSegment segment;
      segment.cache = &cache(type, index);
      segment.cache->set_length(0);
      segment.cache->reserve(length);
      segment.first_row = row;
      segment.rows = length;
      segment.rotary = rotary_.table(length);
      segments.push_back(segment);
      row += length;
    }
    const nn::Step step{
        on != nullptr ? *on : *device_, config, workspace_, segments, extent.rows, false, &cancel};
    Batch batch;
    batch.first_row = extent.first_row;
    batch.rows = extent.rows;
    batch.ids = std::span(ids_).subspan(static_cast<std::size_t>(extent.first_row),
                                        static_cast<std::size_t>(extent.rows));
    batch.lengths = std::span(lengths_).subspan(extent.first_sequence, extent.sequences);
    body(step, batch);
    device_->synchronize();
  }
}

void BatchRunner::load(const nn::Step& step, const Batch& batch,
                       const ActivationStore& store) const {
  const Rows residual = step.rows(Workspace::kResidual);
  const auto bytes = static_cast<std::size_t>(batch.rows * store.cols()) * sizeof(float);
  device_->copy_to_device(residual.data, store.row(batch.first_row), bytes);
}

void BatchRunner::save(const nn::Step& step, const Batch& batch, ActivationStore& store) const {
  const Rows residual = step.rows(Workspace::kResidual);
  const auto bytes = static_cast<std::size_t>(batch.rows * store.cols()) * sizeof(float);
  device_->copy_to_host(store.row(batch.first_row), residual.data, bytes);
}

ConstMatrixView host_rows(device::Device& device, const device::ConstRows& rows,
                          std::vector<float>& scratch) {
  const bool packed = rows.stride == rows.cols;
  if (packed && device.info().host_memory) {
    device.synchronize();
    return {rows.data, rows.rows, rows.cols};
  }
  const auto cols = static_cast<std::size_t>(rows.cols);
  scratch.resize(static_cast<std::size_t>(rows.rows) * cols);
  for (std::int64_t r = 0; r < rows.rows; ++r) {
    device.copy_to_host(scratch.data() + static_cast<std::size_t>(r) * cols,
                        rows.data + r * rows.stride, cols * sizeof(float));
  }
  return {scratch.data(), rows.rows, rows.cols};
}

}  // namespace haq::quant
