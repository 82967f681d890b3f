// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/experts/cost_table.h"
#include "engine/profile/store/sqlite.h"

namespace haq::profile {

/// What a cost table was measured with; a table serves only the same combination.
struct CostKey {
  std::string machine;  ///< CPU model, cores and threads used, instruction set
  std::string device;   ///< name and stated figures of the device
  std::string experts;  ///< form of an expert: hidden x inner, type
};

struct StoredCosts {
  CostKey key;
  std::int64_t updated_ms = 0;
  std::int64_t observations = 0;  ///< that refits have seen
  experts::CostTable table;
};

/// Measured costs in the user's database, the ones that were put last first. Borrowed connection,
/// same threading and errors as it; kCorrupt for a stored table that makes no sense,
/// kInvalidArgument for one that would.
class CostTables {
 public:
  explicit CostTables(Database& database) : database_(database) {}
  std::optional<StoredCosts> find(const CostKey& key);
  /// Replaces the one with the same key. A time of 0 becomes now.
  void put(const StoredCosts& costs);
  std::vector<StoredCosts> list();
  void remove(const CostKey& key);  ///< kNotFound when there is none

 private:
  Database& database_;
};

}  // namespace haq::profile
