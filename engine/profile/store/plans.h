// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/experts/placement/plan.h"
#include "engine/profile/store/sqlite.h"

namespace haq::profile {

/// A placement plan under a name.
struct StoredPlan {
  std::int64_t id = 0;
  std::string name;             ///< unique, 1 to 200 characters, no control characters
  std::int64_t created_ms = 0;  ///< UTC
  std::string plan_json;        ///< as in a plan file; list() leaves it out
  std::string scores_json;      ///< the plan's scores, for lists and comparisons
};

/// Placement plans in the user's database. Borrowed connection, same threading and errors as it;
/// kNotFound for an unknown name.
class Plans {
 public:
  explicit Plans(Database& database) : database_(database) {}
  std::vector<StoredPlan> list();  ///< newest first, without plan_json
  StoredPlan get(const std::string& name);
  /// The plan itself, checked again: kCorrupt when what is stored is none.
  experts::Plan plan(const std::string& name);
  /// Stores under the name, in place of the one that had it. Throws kInvalidArgument for a name
  /// that is none, and what experts::plan_from_json() throws for text that is no plan.
  std::int64_t put(const std::string& name, const std::string& plan_json);
  void rename(const std::string& name, const std::string& to);  ///< kConflict when `to` is taken
  void remove(const std::string& name);

 private:
  void check_found(const std::string& name);
  Database& database_;
};

}  // namespace haq::profile
