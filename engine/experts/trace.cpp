// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/experts/trace.h"

#include <algorithm>
#include <numeric>

namespace haq::experts {

Steps::Steps(const Trace& trace) : shape_(trace.shape) {
  const std::size_t steps = trace.batches.size() * static_cast<std::size_t>(shape_.layers);
  layers_.reserve(steps);
  tokens_.reserve(steps);
  first_token_.reserve(steps);
  first_.reserve(steps + 1);
  experts_.reserve(trace.ids.size());
  counts_.reserve(trace.ids.size());
  seen_.assign(static_cast<std::size_t>(shape_.experts), 0);
  first_.push_back(0);
  for (const Trace::Batch& batch : trace.batches) {
    for (int layer = 0; layer < shape_.layers; ++layer) add(trace, batch, layer);
  }
  seen_.clear();
}

void Steps::add(const Trace& trace, const Trace::Batch& batch, int layer) {
  const std::size_t begin = experts_.size();
  for (std::int64_t token = batch.first_token; token < batch.first_token + batch.tokens; ++token) {
    for (const std::uint16_t expert : trace.choices(token, layer)) {
      if (expert == Trace::kAbsent) continue;
      std::uint16_t& place = seen_[expert];
      if (place == 0) {
        experts_.push_back(expert);
        counts_.push_back(0);
        place = static_cast<std::uint16_t>(experts_.size() - begin);
      }
      std::uint16_t& count = counts_[begin + place - 1];
      if (count < 0xFFFF) ++count;
    }
  }
  for (std::size_t i = begin; i < experts_.size(); ++i) seen_[experts_[i]] = 0;
  if (experts_.size() == begin) return;  // nothing recorded: no step
  layers_.push_back(layer);
  tokens_.push_back(static_cast<std::int32_t>(batch.tokens));
  first_token_.push_back(batch.first_token);
  first_.push_back(experts_.size());
}

std::vector<std::int64_t> count_uses(const Trace& trace, std::int64_t begin, std::int64_t end) {
  std::vector<std::int64_t> uses(static_cast<std::size_t>(trace.shape.total()), 0);
  for (std::int64_t token = begin; token < end; ++token) {
    for (int layer = 0; layer < trace.shape.layers; ++layer) {
      for (const std::uint16_t expert : trace.choices(token, layer)) {
        if (expert == Trace::kAbsent) continue;
        ++uses[static_cast<std::size_t>(trace.shape.index(layer, expert))];
      }
    }
  }
  return uses;
}

std::vector<ExpertIndex> most_used(const ExpertShape& shape, std::span<const std::int64_t> uses,
                                   int count, bool per_layer) {
  const auto order = [&](ExpertIndex first, ExpertIndex last, int wanted) {
    std::vector<ExpertIndex> all(static_cast<std::size_t>(last - first));
    std::iota(all.begin(), all.end(), first);
    std::stable_sort(all.begin(), all.end(), [&](ExpertIndex a, ExpertIndex b) {
      return uses[static_cast<std::size_t>(a)] > uses[static_cast<std::size_t>(b)];
    });
    all.resize(std::min(all.size(), static_cast<std::size_t>(wanted)));
    return all;
  };
  if (!per_layer) return order(0, shape.total(), count);
  std::vector<ExpertIndex> chosen;
  for (int layer = 0; layer < shape.layers; ++layer) {
    const std::vector<ExpertIndex> best =
        order(shape.index(layer, 0), shape.index(layer + 1, 0), layer_quota(shape, count, layer));
    chosen.insert(chosen.end(), best.begin(), best.end());
  }
  return chosen;
}

}  // namespace haq::experts
