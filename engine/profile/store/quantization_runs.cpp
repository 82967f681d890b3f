// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/profile/store/quantization_runs.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "engine/base/clock.h"
#include "engine/profile/store/stored_values.h"

namespace haq::profile {
namespace {

// The report comes last: SQLite reads the large column only when it is asked for.
constexpr const char* kColumns =
    "id, started_ms, finished_ms, state, source, target, method, options, error, seconds, "
    "ppl_before, ppl_after, kld_mean, bytes_before, bytes_after";

std::optional<double> optional_real(const Statement& row, int column) {
  if (row.is_null(column)) return {};
  return row.real(column);
}

QuantizationRun read_run(const Statement& row) {
  QuantizationRun run;
  run.id = row.integer(0);
  run.started_ms = row.integer(1);
  run.finished_ms = row.integer(2);
  run.state = row.text(3);
  run.source = row.text(4);
  run.target = row.text(5);
  run.method = row.text(6);
  run.options_json = row.text(7);
  run.error = row.text(8);
  run.seconds = row.real(9);
  run.ppl_before = optional_real(row, 10);
  run.ppl_after = optional_real(row, 11);
  run.kld_mean = optional_real(row, 12);
  run.bytes_before = row.integer(13);
  run.bytes_after = row.integer(14);
  return run;
}

void check(const QuantizationRun& run) {
  constexpr std::array<std::string_view, 4> kStates = {"running", "done", "failed", "stopped"};
  if (std::find(kStates.begin(), kStates.end(), run.state) == kStates.end()) {
    fail(ErrorCode::kInvalidArgument,
         "state of a quantization: found \"{}\", expected running, done, failed or stopped",
         run.state);
  }
  if (!std::isfinite(run.seconds)) {
    fail(ErrorCode::kInvalidArgument, "seconds of a quantization: found {}", run.seconds);
  }
  check_json_object(run.options_json, "options");
  if (!run.report_json.empty()) check_json_object(run.report_json, "report");
}

void bind_optional(Statement& statement, int index, const std::optional<double>& value) {
  if (value && std::isfinite(*value)) {
    statement.bind_real(index, *value);
  } else {
    statement.bind_null(index);
  }
}

/// Everything but the id, parameters 1 to 15.
void bind_fields(Statement& statement, const QuantizationRun& run) {
  statement.bind(1, run.started_ms);
  statement.bind(2, run.finished_ms);
  statement.bind(3, run.state);
  statement.bind(4, run.source);
  statement.bind(5, run.target);
  statement.bind(6, run.method);
  statement.bind(7, run.options_json);
  statement.bind(8, run.error);
  statement.bind_real(9, run.seconds);
  bind_optional(statement, 10, run.ppl_before);
  bind_optional(statement, 11, run.ppl_after);
  bind_optional(statement, 12, run.kld_mean);
  statement.bind(13, run.bytes_before);
  statement.bind(14, run.bytes_after);
  statement.bind(15, run.report_json);
}

void check_found(Database& database, std::int64_t id) {
  if (database.changes() == 0) {
    fail(ErrorCode::kNotFound, "{}: there is no quantization {}", database.path().string(), id);
  }
}

}  // namespace

std::vector<QuantizationRun> QuantizationRuns::list() {
  Statement rows = database_.prepare(
      fmt::format("SELECT {} FROM quantization_runs ORDER BY started_ms DESC, id DESC", kColumns));
  std::vector<QuantizationRun> runs;
  while (rows.step()) runs.push_back(read_run(rows));
  return runs;
}

QuantizationRun QuantizationRuns::get(std::int64_t id) {
  Statement rows = database_.prepare(
      fmt::format("SELECT {}, report FROM quantization_runs WHERE id = ?", kColumns));
  rows.bind(1, id);
  if (!rows.step()) {
    fail(ErrorCode::kNotFound, "{}: there is no quantization {}", database_.path().string(), id);
  }
  QuantizationRun run = read_run(rows);
  run.report_json = rows.text(15);
  return run;
}

std::int64_t QuantizationRuns::add(const QuantizationRun& run) {
  QuantizationRun fresh = run;
  if (fresh.started_ms == 0) fresh.started_ms = now_ms();
  if (fresh.options_json.empty()) fresh.options_json = "{}";
  check(fresh);
  Statement insert = database_.prepare(
      "INSERT INTO quantization_runs (started_ms, finished_ms, state, source, target, method, "
      "options, error, seconds, ppl_before, ppl_after, kld_mean, bytes_before, bytes_after, "
      "report) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
  bind_fields(insert, fresh);
  insert.run();
  return database_.last_insert_id();
}

void QuantizationRuns::update(const QuantizationRun& run) {
  QuantizationRun changed = run;
  if (changed.options_json.empty()) changed.options_json = "{}";
  check(changed);
  Statement update = database_.prepare(
      "UPDATE quantization_runs SET started_ms = ?, finished_ms = ?, state = ?, source = ?, "
      "target = ?, method = ?, options = ?, error = ?, seconds = ?, ppl_before = ?, ppl_after = ?, "
      "kld_mean = ?, bytes_before = ?, bytes_after = ?, report = ? WHERE id = ?");
  bind_fields(update, changed);
  update.bind(16, run.id);
  update.run();
  check_found(database_, run.id);
}

void QuantizationRuns::remove(std::int64_t id) {
  Statement erase = database_.prepare("DELETE FROM quantization_runs WHERE id = ?");
  erase.bind(1, id);
  erase.run();
  check_found(database_, id);
}

int QuantizationRuns::recover() {
  database_.exec("UPDATE quantization_runs SET state = 'stopped' WHERE state = 'running'");
  return static_cast<int>(database_.changes());
}

}  // namespace haq::profile
