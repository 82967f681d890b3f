// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "engine/experts/shape.h"
#include "engine/experts/step.h"

namespace haq::experts {

/// Recorded routing: which experts each token chose in each layer.
struct Trace {
  static constexpr std::uint16_t kAbsent = 0xFFFF;  ///< a rank that was not recorded

  /// Consecutive tokens that went through the model together (decode: one token).
  struct Batch {
    std::int64_t first_token = 0, tokens = 0;
    std::int32_t prompt = 0;
    bool decode = true;
  };

  ExpertShape shape;
  std::vector<std::uint16_t> ids;    ///< [token][layer][rank], most probable first
  std::vector<Batch> batches;        ///< in order, covering all tokens
  std::vector<std::string> notices;  ///< what the reader inferred or left out, in sentences

  std::int64_t tokens() const {
    const std::int64_t row = std::int64_t{shape.layers} * shape.top_k;
    return row == 0 ? 0 : static_cast<std::int64_t>(ids.size()) / row;
  }
  std::span<const std::uint16_t> choices(std::int64_t token, int layer) const {
    const auto k = static_cast<std::size_t>(shape.top_k);
    const auto row = static_cast<std::size_t>(token * shape.layers + layer);
    return {ids.data() + row * k, k};
  }
};

/// The steps of a trace, flattened once so that many replays share them: step = batch x layer.
class Steps {
 public:
  explicit Steps(const Trace& trace);

  const ExpertShape& shape() const { return shape_; }
  std::int64_t count() const { return static_cast<std::int64_t>(layers_.size()); }
  Step step(std::int64_t index) const {
    const auto i = static_cast<std::size_t>(index);
    const std::size_t first = first_[i], size = first_[i + 1] - first;
    return {
        layers_[i], tokens_[i], {experts_.data() + first, size}, {counts_.data() + first, size}};
  }
  /// First token of the step's batch.
  std::int64_t first_token(std::int64_t index) const {
    return first_token_[static_cast<std::size_t>(index)];
  }
  std::int64_t accesses() const { return static_cast<std::int64_t>(experts_.size()); }

 private:
  void add(const Trace& trace, const Trace::Batch& batch, int layer);

  ExpertShape shape_;
  std::vector<std::int32_t> layers_, tokens_;
  std::vector<std::int64_t> first_token_;
  std::vector<std::size_t> first_;
  std::vector<std::uint16_t> experts_, counts_;
  std::vector<std::uint16_t> seen_;  ///< by expert, while adding
};

/// Uses per expert (tokens that chose it) in tokens [begin, end).
std::vector<std::int64_t> count_uses(const Trace& trace, std::int64_t begin, std::int64_t end);

/// The `count` most used experts, ties to the lower index. `uses` by ExpertIndex. With `per_layer`
/// each layer's quota of its most used ones.
std::vector<ExpertIndex> most_used(const ExpertShape& shape, std::span<const std::int64_t> uses,
                                   int count, bool per_layer);

}  // namespace haq::experts
