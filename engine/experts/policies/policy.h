// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/experts/cost_table.h"
#include "engine/experts/residency.h"
#include "engine/experts/shape.h"
#include "engine/experts/step.h"

namespace haq::experts {

/// Decides which experts are resident. The live runtime and the replay simulator drive the same
/// object with the same steps, and a policy looks at nothing else (no clock, no random numbers), so
/// both see the same hits. Not thread-safe.
class Policy {
 public:
  virtual ~Policy() = default;
  virtual std::string name() const = 0;
  /// Before the first step; may fill the cache (a static plan does).
  virtual void start(Residency& residency);
  /// After hits of the step have been counted: may admit and replace experts, also those of layers
  /// to come (a prefetch). Never evicts an expert of this step.
  virtual void end_step(const Step& step, Residency& residency) = 0;
};

struct Trace;

enum class PathGoal { kHits, kTime };
const char* to_string(PathGoal goal);
/// hits or time; another word: nullopt.
std::optional<PathGoal> parse_path_goal(const std::string& word);

/// What the policies can be told. Values as in CLI.md's option names.
struct PolicyOptions {
  double decay = 0.97;       ///< ema: of the scores, per token and layer, (0, 1)
  double margin = 1.5;       ///< ema: a newcomer's score must exceed margin x the lowest resident's
  int uploads_per_step = 1;  ///< ema: at most so many, >= 0
  std::vector<ExpertIndex> plan;  ///< static, plan+...: what is pinned, at most the capacity
  /// path, auto: the best hit rate, or the shortest modelled time.
  PathGoal path_goal = PathGoal::kTime;
  CostTable costs;  ///< frozen for the run; `path` and `auto` weigh uploads against misses by it
  /// path: recorded paths of the same shape to learn from beforehand (null: it learns as it runs).
  std::shared_ptr<const Trace> history;
};

/// Names that make_policy() takes: none, static, lru, lru-layer, ema, path, plan+lru, plan+ema,
/// plan+path, auto.
const std::vector<std::string>& policy_names();
/// Throws kInvalidArgument naming the option and its range, or the known names.
std::unique_ptr<Policy> make_policy(const std::string& name, const ExpertShape& shape, int capacity,
                                    const PolicyOptions& options);

}  // namespace haq::experts
