// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/experts/shape.h"

namespace haq::experts {

/// Which experts a plan keeps on the device, most valuable first: a smaller budget takes the front.
struct Plan {
  static constexpr int kSchema = 1;
  struct Pin {
    int layer = 0, expert = 0;  ///< layer: number among the layers with routing
    int stage = 1;              ///< 1: coverage of paths (or the only stage), 2: supplement
  };
  std::string fingerprint;  ///< of the 16-bit source (base_fingerprint); may be empty
  std::string architecture;
  ExpertShape shape;
  int budget_experts = 0;
  std::string strategy;
  std::vector<std::string> sources;  ///< names of the recordings it was made from
  std::vector<Pin> pinned;
  nlohmann::ordered_json scores;  ///< object: coverage, stage1_share, held_out{...}, ...
};

/// The plan's experts, most valuable first, at most `count`.
std::vector<ExpertIndex> pinned_indices(const Plan& plan, int count);

nlohmann::ordered_json to_json(const Plan& plan);
/// Untrusted input. kCorrupt or kLimit naming `what`, field, found and expected: another schema,
/// duplicate or out-of-range experts, more experts than its budget.
Plan plan_from_json(const nlohmann::ordered_json& json, const std::string& what);
Plan read_plan(const std::filesystem::path& file);
void write_plan(const Plan& plan, const std::filesystem::path& file);  ///< atomically

/// kInvalidArgument when the plan is for another shape or, both being known, another fingerprint.
/// `what` names the plan, `model` the model.
void check_plan(const Plan& plan, const ExpertShape& shape, const std::string& fingerprint,
                const std::string& what, const std::string& model);

}  // namespace haq::experts
