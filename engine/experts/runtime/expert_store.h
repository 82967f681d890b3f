// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "engine/device/slots.h"
#include "engine/experts/shape.h"
#include "engine/nn/decoder.h"

namespace haq::experts {

/// The routed experts of a decoder as uploads need them: the one copy that the decoder's own device
/// works with, borrowed. Not thread-safe.
class ExpertStore {
 public:
  /// The decoder must outlive the store.
  explicit ExpertStore(const nn::Decoder& decoder);

  /// Before layout() and get(). kUnsupported, naming the expert, when experts differ in form (they
  /// could not share slots) or the decoder's device keeps no copy in host memory.
  void check_forms();

  const ExpertShape& shape() const { return shape_; }
  /// The form of every expert.
  const device::SlotLayout& layout() const { return layout_; }
  const device::FfnSpec& prepared(ExpertIndex expert) const;
  std::shared_ptr<const device::ExpertWeights> get(ExpertIndex expert);
  /// Bytes of experts that could not be used in place from the file, because of their layout or
  /// type there, and lie converted in memory of their own.
  std::size_t converted_bytes() const { return converted_bytes_; }

  /// The model's number of a layer with routing.
  int model_layer(int layer) const { return model_layers_[static_cast<std::size_t>(layer)]; }
  /// The inverse; -1 for a layer without routing.
  int routed_layer(int model_layer) const {
    return routed_layers_[static_cast<std::size_t>(model_layer)];
  }

 private:
  const nn::Decoder& decoder_;
  ExpertShape shape_;
  device::SlotLayout layout_;
  std::vector<int> model_layers_, routed_layers_;
  std::vector<std::shared_ptr<const device::ExpertWeights>> weights_;  // filled on demand
  std::size_t converted_bytes_ = 0;
};

}  // namespace haq::experts
