// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "engine/device/device.h"
#include "engine/model/config.h"

namespace haq::nn {

/// The activations of one step, in one block of device memory that grows to the largest step seen
/// and is then reused: a decode step allocates nothing.
class Workspace {
 public:
  enum Slot {
    kResidual,      ///< the residual stream [T, hidden]
    kNormed,        ///< input of a block [T, hidden]
    kBranch,        ///< output of a block [T, hidden]
    kQuery,         ///< [T, heads * head_dim]
    kKey,           ///< [T, kv_heads * head_dim] (MLA: heads)
    kValue,         ///< [T, kv_heads * v_head_dim] (MLA: heads)
    kContext,       ///< attention output [T, heads * v_head_dim]
    kLatentQ,       ///< MLA: [T, q_lora_rank]
    kLatentKv,      ///< MLA: [T, kv_lora_rank + rope_dim]
    kLatentNormed,  ///< MLA: [T, kv_lora_rank]
    kExpandedKv,    ///< MLA: [T, heads * (nope_dim + v_dim)]
    kRouter,        ///< router logits [T, experts]
    kChoices,       ///< expert outputs [T * top_k, hidden]
    kShared,        ///< shared expert's output [T, hidden]
    kSharedGate,    ///< [T, 1]
    kEmbed,         ///< models with project_in / project_out: [T, embed_dim]
    kSelected,      ///< rows whose logits are wanted [T, hidden]
    kSlots
  };

  Workspace(device::Device& device, const model::ModelConfig& config);

  /// Makes room for `tokens` rows in every slot. Contents are lost when it grows.
  void reserve(std::int64_t tokens);
  /// The first `rows` rows of a slot (kChoices: rows * top_k).
  device::Rows rows(Slot slot, std::int64_t rows) const;
  std::size_t bytes() const { return buffer_ ? buffer_->bytes() : 0; }

 private:
  device::Device& device_;
  std::array<std::int64_t, kSlots> cols_{};
  std::array<std::int64_t, kSlots> rows_per_token_{};
  std::array<std::int64_t, kSlots> offset_{};  ///< in floats
  std::unique_ptr<device::Buffer> buffer_;
  std::int64_t capacity_ = 0;
};

}  // namespace haq::nn
