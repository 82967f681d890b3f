// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/profile/store/plans.h"

#include "engine/base/clock.h"
#include "engine/base/json.h"
#include "engine/profile/store/stored_values.h"

namespace haq::profile {
namespace {

// The plan comes last: SQLite reads the large column only when it is asked for.
constexpr const char* kColumns = "id, name, created_ms, scores";

StoredPlan read_plan_row(const Statement& row) {
  StoredPlan stored;
  stored.id = row.integer(0);
  stored.name = row.text(1);
  stored.created_ms = row.integer(2);
  stored.scores_json = row.text(3);
  return stored;
}

}  // namespace

void Plans::check_found(const std::string& name) {
  if (database_.changes() == 0) {
    fail(ErrorCode::kNotFound, "{}: there is no plan \"{}\"", database_.path().string(), name);
  }
}

std::vector<StoredPlan> Plans::list() {
  Statement rows = database_.prepare(
      fmt::format("SELECT {} FROM plans ORDER BY created_ms DESC, id DESC", kColumns));
  std::vector<StoredPlan> plans;
  while (rows.step()) plans.push_back(read_plan_row(rows));
  return plans;
}

StoredPlan Plans::get(const std::string& name) {
  Statement rows =
      database_.prepare(fmt::format("SELECT {}, plan FROM plans WHERE name = ?", kColumns));
  rows.bind(1, name);
  if (!rows.step()) {
    fail(ErrorCode::kNotFound, "{}: there is no plan \"{}\"", database_.path().string(), name);
  }
  StoredPlan stored = read_plan_row(rows);
  stored.plan_json = rows.text(4);
  return stored;
}

experts::Plan Plans::plan(const std::string& name) {
  const std::string what = fmt::format("{}: plan \"{}\"", database_.path().string(), name);
  return experts::plan_from_json(parse_ordered_json(get(name).plan_json, what), what);
}

std::int64_t Plans::put(const std::string& name, const std::string& plan_json) {
  check_stored_name(name, "a plan");
  const std::string what = fmt::format("plan \"{}\"", name);
  const experts::Plan plan = experts::plan_from_json(parse_ordered_json(plan_json, what), what);
  Transaction transaction(database_);
  database_
      .prepare(
          "INSERT INTO plans (name, created_ms, plan, scores) VALUES (?, ?, ?, ?) "
          "ON CONFLICT DO UPDATE SET created_ms = excluded.created_ms, plan = excluded.plan, "
          "scores = excluded.scores")
      .bind(1, name)
      .bind(2, now_ms())
      .bind(3, plan_json)
      .bind(4, plan.scores.is_object() ? plan.scores.dump() : "{}")
      .run();
  Statement row = database_.prepare("SELECT id FROM plans WHERE name = ?");
  if (!row.bind(1, name).step()) {
    fail(ErrorCode::kCorrupt, "{}: {} is missing", database_.path().string(), what);
  }
  const std::int64_t id = row.integer(0);
  transaction.commit();
  return id;
}

void Plans::rename(const std::string& name, const std::string& to) {
  check_stored_name(to, "a plan");
  Statement taken = database_.prepare("SELECT 1 FROM plans WHERE name = ?");
  if (name != to && taken.bind(1, to).step()) {
    throw Error(ErrorCode::kConflict,
                fmt::format("{}: there is a plan \"{}\" already", database_.path().string(), to),
                "choose another name");
  }
  database_.prepare("UPDATE plans SET name = ? WHERE name = ?").bind(1, to).bind(2, name).run();
  check_found(name);
}

void Plans::remove(const std::string& name) {
  database_.prepare("DELETE FROM plans WHERE name = ?").bind(1, name).run();
  check_found(name);
}

}  // namespace haq::profile
