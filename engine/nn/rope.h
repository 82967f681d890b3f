// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "engine/device/device.h"
#include "engine/model/config.h"

namespace haq::nn {

/// The rotation of one model: position p turns channel pair i by the angle p * frequencies[i];
/// cosine and sine are multiplied by `magnitude` (1 except for yarn and longrope).
struct Rotation {
  std::vector<float> frequencies;  ///< [dim / 2], radians per token
  double magnitude = 1;
};

/// Frequencies and magnitude for a sequence of `sequence_length` tokens; only longrope depends on
/// the length. Frequencies are computed in double and rounded to float32, the form published
/// checkpoints were trained with. Sources: linear and "dynamic" scaling as in transformers; llama3
/// as in Meta's release; yarn: arXiv 2309.00071 with the mscale rules of DeepSeek-V2; longrope:
/// arXiv 2402.13753. `max_positions` is the model's context and decides longrope's default
/// magnitude. Throws kInvalidArgument when a longrope factor list does not have dim / 2 entries.
Rotation make_rotation(const model::RopeConfig& rope, std::int64_t max_positions,
                       std::int64_t sequence_length);

/// Cosine and sine tables in device memory, made on demand and grown by doubling. An entry depends
/// on its position (and for longrope on whether the sequence is a long one), never on the table's
/// size.
class RotaryTables {
 public:
  RotaryTables(std::shared_ptr<device::Device> device, const model::RopeConfig& rope,
               std::int64_t max_positions);

  /// Makes every table cover positions [0, positions). Tables handed out before become invalid.
  void reserve(std::int64_t positions);
  /// Whether a sequence of this length is rotated by longrope's long variant. Keys of the two
  /// variants do not go together.
  bool is_long(std::int64_t sequence_length) const;
  /// The table for a sequence that is (or will be) `sequence_length` tokens long. `dim` is 0 for
  /// models without rotary embeddings. Valid until the next reserve().
  device::RotaryTable table(std::int64_t sequence_length);

 private:
  struct Variant {
    Rotation rotation;
    std::unique_ptr<device::Buffer> cos, sin;
    std::int64_t length = 0;
  };
  void fill(Variant& variant) const;

  std::shared_ptr<device::Device> device_;
  model::RopeConfig rope_;
  std::int64_t max_positions_ = 0;
  std::int64_t reserved_ = 0;
  Variant short_, long_;
};

}  // namespace haq::nn
