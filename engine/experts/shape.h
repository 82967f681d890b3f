// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>

namespace haq::experts {

/// Number of an expert over all layers: layer * experts + expert.
using ExpertIndex = std::int32_t;

/// The routed experts of a model; `layers` counts layers with routing only.
struct ExpertShape {
  int layers = 0;
  int experts = 0;  ///< per layer
  int top_k = 0;

  int total() const { return layers * experts; }
  ExpertIndex index(int layer, int expert) const { return layer * experts + expert; }
  int layer_of(ExpertIndex index) const { return index / experts; }
  int expert_of(ExpertIndex index) const { return index % experts; }
  friend bool operator==(const ExpertShape&, const ExpertShape&) = default;
};

/// Largest shape that recordings and plans may claim.
inline constexpr int kMaxLayers = 1024, kMaxExperts = 4096, kMaxTopK = 256;

/// A layer's share of `capacity` slots: floor(C / L), the first C mod L layers have one more.
inline int layer_quota(const ExpertShape& shape, int capacity, int layer) {
  return capacity / shape.layers + (layer < capacity % shape.layers ? 1 : 0);
}

}  // namespace haq::experts
