// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/profile/store/cost_tables.h"

#include <nlohmann/json.hpp>

#include "engine/base/clock.h"
#include "engine/base/json.h"

namespace haq::profile {
namespace {

constexpr const char* kSelect =
    "SELECT m.name, c.device, c.experts, c.updated_ms, c.observations, c.costs FROM cost_tables c "
    "JOIN machines m ON m.id = c.machine ";

StoredCosts read_costs(const Database& database, const Statement& row) {
  StoredCosts stored;
  stored.key = {row.text(0), row.text(1), row.text(2)};
  stored.updated_ms = row.integer(3);
  stored.observations = row.integer(4);
  const std::string what = fmt::format("{}: costs of {} with {}", database.path().string(),
                                       stored.key.device, stored.key.machine);
  if (stored.observations < 0) {
    fail(ErrorCode::kCorrupt, "{}: {} observations", what, stored.observations);
  }
  stored.table = experts::cost_table_from_json(parse_ordered_json(row.text(5), what), what);
  return stored;
}

Statement& bind_key(Statement& statement, const CostKey& key) {
  return statement.bind(1, key.machine).bind(2, key.device).bind(3, key.experts);
}

/// The table as text, if it can be read back.
std::string checked_text(const experts::CostTable& table) {
  const std::string text = experts::to_json(table).dump();
  try {
    experts::cost_table_from_json(parse_ordered_json(text, "costs"), "costs");
  } catch (const Error& error) {
    throw Error(ErrorCode::kInvalidArgument, error.what());
  }
  return text;
}

}  // namespace

std::optional<StoredCosts> CostTables::find(const CostKey& key) {
  Statement rows = database_.prepare(
      fmt::format("{} WHERE m.name = ? AND c.device = ? AND c.experts = ?", kSelect));
  if (!bind_key(rows, key).step()) return {};
  return read_costs(database_, rows);
}

void CostTables::put(const StoredCosts& costs) {
  if (costs.observations < 0) {
    fail(ErrorCode::kInvalidArgument, "costs: {} observations", costs.observations);
  }
  const std::string text = checked_text(costs.table);
  Transaction transaction(database_);
  database_.prepare("INSERT INTO machines (name) VALUES (?) ON CONFLICT DO NOTHING")
      .bind(1, costs.key.machine)
      .run();
  Statement upsert = database_.prepare(
      "INSERT INTO cost_tables (machine, device, experts, updated_ms, observations, costs) "
      "SELECT id, ?2, ?3, ?4, ?5, ?6 FROM machines WHERE name = ?1 "
      "ON CONFLICT DO UPDATE SET updated_ms = excluded.updated_ms, "
      "observations = excluded.observations, costs = excluded.costs");
  bind_key(upsert, costs.key)
      .bind(4, costs.updated_ms == 0 ? now_ms() : costs.updated_ms)
      .bind(5, costs.observations)
      .bind(6, text)
      .run();
  transaction.commit();
}

std::vector<StoredCosts> CostTables::list() {
  Statement rows = database_.prepare(
      fmt::format("{} ORDER BY c.updated_ms DESC, m.name, c.device, c.experts", kSelect));
  std::vector<StoredCosts> all;
  while (rows.step()) all.push_back(read_costs(database_, rows));
  return all;
}

void CostTables::remove(const CostKey& key) {
  Transaction transaction(database_);
  Statement erase = database_.prepare(
      "DELETE FROM cost_tables WHERE machine = (SELECT id FROM machines WHERE name = ?1) AND "
      "device = ?2 AND experts = ?3");
  bind_key(erase, key).run();
  if (database_.changes() == 0) {
    fail(ErrorCode::kNotFound, "{}: there are no costs of {} with {}", database_.path().string(),
         key.device, key.machine);
  }
  database_.exec("DELETE FROM machines WHERE id NOT IN (SELECT machine FROM cost_tables)");
  transaction.commit();
}

}  // namespace haq::profile
