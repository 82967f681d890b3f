// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/nn/workspace.h"

#include <algorithm>
#include <bit>

#include "engine/base/error.h"

namespace haq::nn {
namespace {

constexpr std::int64_t kAlignFloats = 16;  // 64 bytes

}  // namespace

Workspace::Workspace(device::Device& device, const model::ModelConfig& config) : device_(device) {
  rows_per_token_.fill(1);
  rows_per_token_[kChoices] = config.top_k;
  const std::int64_t kv_heads = config.mla ? config.heads : config.kv_heads;
  cols_[kResidual] = cols_[kNormed] = cols_[kBranch] = cols_[kSelected] = config.hidden;
  cols_[kQuery] = std::int64_t{config.heads} * config.head_dim;
  cols_[kKey] = kv_heads * config.head_dim;
  cols_[kValue] = kv_heads * config.v_head_dim;
  cols_[kContext] = std::int64_t{config.heads} * config.v_head_dim;
  if (config.mla) {
    const model::MlaConfig& mla = *config.mla;
    cols_[kLatentQ] = mla.q_lora_rank;
    cols_[kLatentKv] = mla.kv_lora_rank + mla.rope_dim;
    cols_[kLatentNormed] = mla.kv_lora_rank;
    cols_[kExpandedKv] = std::int64_t{config.heads} * (mla.nope_dim + mla.v_dim);
  }
  if (config.experts > 0) {
    cols_[kRouter] = config.experts;
    cols_[kChoices] = config.hidden;
  }
  if (config.shared_width > 0) {
    cols_[kShared] = config.hidden;
    cols_[kSharedGate] = config.shared_gate ? 1 : 0;
  }
  if (config.embed_dim != config.hidden) cols_[kEmbed] = config.embed_dim;
}

void Workspace::reserve(std::int64_t tokens) {
  if (tokens <= capacity_) return;
  // Powers of two: a conversation grows its largest step a few times, not with every prompt.
  const auto capacity =
      static_cast<std::int64_t>(std::bit_ceil(static_cast<std::uint64_t>(tokens)));
  std::int64_t total = 0;
  std::array<std::int64_t, kSlots> offsets{};
  for (std::size_t slot = 0; slot < kSlots; ++slot) {
    offsets[slot] = total;
    const std::int64_t floats = capacity * rows_per_token_[slot] * cols_[slot];
    total += (floats + kAlignFloats - 1) / kAlignFloats * kAlignFloats;
  }
  device_.synchronize();
  buffer_.reset();
  capacity_ = 0;
  buffer_ = device_.allocate(static_cast<std::size_t>(total) * sizeof(float));
  offset_ = offsets;
  capacity_ = capacity;
}

device::Rows Workspace::rows(Slot slot, std::int64_t rows) const {
  if (rows > capacity_ || cols_[slot] == 0) {
    fail(ErrorCode::kInternal, "workspace slot {}: {} rows of {} asked", static_cast<int>(slot),
         rows, cols_[slot]);
  }
  return {static_cast<float*>(buffer_->data()) + offset_[slot], rows * rows_per_token_[slot],
          cols_[slot], cols_[slot]};
}

}  // namespace haq::nn
