// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/experts/policies/policy.h"
#include "engine/experts/policies/step_time.h"
#include "engine/experts/trace.h"

namespace haq::experts {

/// Decode tokens whose choices `choose(token, layer, experts)` makes, top_k of them.
template <class Choose>
Trace paths(const ExpertShape& shape, int tokens, Choose choose) {
  Trace trace;
  trace.shape = shape;
  std::vector<std::uint16_t> chosen;
  for (int token = 0; token < tokens; ++token) {
    for (int layer = 0; layer < shape.layers; ++layer) {
      chosen.clear();
      choose(token, layer, chosen);
      trace.ids.insert(trace.ids.end(), chosen.begin(), chosen.end());
    }
    trace.batches.push_back({token, 1, 0, true});
  }
  return trace;
}

struct Played {
  std::int64_t accesses = 0, hits = 0, uploads = 0;
  double us = 0;  ///< modelled by the options' costs
  double hit_rate() const { return static_cast<double>(hits) / static_cast<double>(accesses); }
};

/// Runs a policy over a trace; tokens before `from` are not counted.
inline Played play(const Trace& trace, const std::string& name, int capacity,
                   const PolicyOptions& options, std::int64_t from = 0) {
  const auto policy = make_policy(name, trace.shape, capacity, options);
  Residency residency(trace.shape, capacity);
  policy->start(residency);
  residency.reset_counts();
  const Steps steps(trace);
  Played played;
  for (std::int64_t i = 0; i < steps.count(); ++i) {
    const Step step = steps.step(i);
    const StepLanes lanes = step_lanes(step, residency, options.costs);
    const std::int64_t before = residency.uploads();
    policy->end_step(step, residency);
    if (steps.first_token(i) < from) continue;
    const int copies = static_cast<int>(residency.uploads() - before);
    played.accesses += static_cast<std::int64_t>(step.experts.size());
    played.hits += static_cast<std::int64_t>(step.experts.size()) - lanes.misses;
    played.uploads += copies;
    played.us += lanes.us(copies, options.costs.upload_us(1));
  }
  return played;
}

}  // namespace haq::experts
