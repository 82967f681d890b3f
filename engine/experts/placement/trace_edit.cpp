// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/experts/placement/trace_edit.h"

#include <map>

#include "engine/base/error.h"

namespace haq::experts {

std::pair<Trace, Trace> split_trace(const Trace& trace, std::int64_t tokens) {
  std::pair<Trace, Trace> parts;
  parts.first.shape = parts.second.shape = trace.shape;
  const std::int64_t row = std::int64_t{trace.shape.layers} * trace.shape.top_k;
  std::int64_t border = 0;
  for (const Trace::Batch& batch : trace.batches) {
    const std::int64_t end = batch.first_token + batch.tokens;
    if (end > tokens) break;
    parts.first.batches.push_back(batch);
    border = end;
  }
  for (std::size_t i = parts.first.batches.size(); i < trace.batches.size(); ++i) {
    parts.second.batches.push_back(trace.batches[i]);
    parts.second.batches.back().first_token -= border;
  }
  const auto middle = trace.ids.begin() + border * row;
  parts.first.ids.assign(trace.ids.begin(), middle);
  parts.second.ids.assign(middle, trace.ids.end());
  return parts;
}

Trace join_traces(std::span<const Trace* const> traces) {
  Trace joined;
  std::int32_t prompts = 0;
  for (const Trace* trace : traces) {
    if (trace == traces.front()) joined.shape = trace->shape;
    if (trace->shape != joined.shape) {
      fail(ErrorCode::kInvalidArgument, "recordings of different shapes cannot be joined");
    }
    const std::int64_t offset = joined.tokens();
    std::map<std::int32_t, std::int32_t> numbers;
    for (Trace::Batch batch : trace->batches) {
      const auto [number, added] = numbers.try_emplace(batch.prompt, prompts);
      if (added) ++prompts;
      batch.prompt = number->second;
      batch.first_token += offset;
      joined.batches.push_back(batch);
    }
    joined.ids.insert(joined.ids.end(), trace->ids.begin(), trace->ids.end());
  }
  return joined;
}

}  // namespace haq::experts
