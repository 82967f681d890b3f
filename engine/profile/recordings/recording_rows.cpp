// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/profile/recordings/recording_rows.h"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "engine/base/clock.h"
#include "engine/profile/store/stored_values.h"

namespace haq::profile {
namespace {

using experts::ExpertShape;

constexpr const char* kSelect =
    "SELECT r.id, r.name, r.created_ms, r.state, m.name, m.architecture, m.fingerprint, m.layers, "
    "m.experts, m.top_k, r.tokens, r.decode_tokens, r.prompts, r.dropped_events, r.source, r.run, "
    "r.notes FROM recordings r JOIN models m ON m.id = r.model ";

bool good_shape(const ExpertShape& shape, bool counts) {
  return shape.layers >= 1 && shape.layers <= experts::kMaxLayers && shape.experts >= 1 &&
         shape.experts <= experts::kMaxExperts && shape.top_k >= (counts ? 0 : 1) &&
         shape.top_k <= std::min(shape.experts, experts::kMaxTopK);
}

bool good_state(std::string_view state) {
  constexpr std::array<std::string_view, 4> kStates = {"recording", "done", "interrupted",
                                                       "counts"};
  return std::find(kStates.begin(), kStates.end(), state) != kStates.end();
}

[[noreturn]] void corrupt(const Database& database, const Recording& recording,
                          const std::string& why) {
  throw Error(
      ErrorCode::kCorrupt,
      fmt::format("{}: recording \"{}\": {}", database.path().string(), recording.name, why),
      "record or import it again");
}

Recording read_recording(const Database& database, const Statement& row) {
  Recording recording;
  recording.id = row.integer(0);
  recording.name = row.text(1);
  recording.created_ms = row.integer(2);
  recording.state = row.text(3);
  recording.model = row.text(4);
  recording.architecture = row.text(5);
  recording.fingerprint = row.text(6);
  const std::int64_t shape[] = {row.integer(7), row.integer(8), row.integer(9)};
  recording.tokens = row.integer(10);
  recording.decode_tokens = row.integer(11);
  recording.prompts = row.integer(12);
  recording.dropped_events = row.integer(13);
  recording.source = row.text(14);
  recording.run_json = row.text(15);
  recording.notes = row.text(16);

  if (!good_state(recording.state)) {
    corrupt(database, recording,
            fmt::format("state is \"{}\", expected recording, done, interrupted or counts",
                        recording.state));
  }
  const auto small = [](std::int64_t value) {
    return static_cast<int>(std::clamp<std::int64_t>(value, -1, 1 << 20));
  };
  recording.shape = {small(shape[0]), small(shape[1]), small(shape[2])};
  if (!good_shape(recording.shape, recording.state == "counts")) {
    corrupt(database, recording,
            fmt::format("shape is {} layers, {} experts, top-{}", shape[0], shape[1], shape[2]));
  }
  const std::int64_t most = (std::int64_t{1} << kTokenKeyBits) - 1;
  if (recording.tokens < 0 || recording.tokens > most || recording.decode_tokens < 0 ||
      recording.decode_tokens > recording.tokens || recording.prompts < 0 ||
      recording.prompts > recording.tokens) {
    corrupt(database, recording,
            fmt::format("{} tokens, {} of decode, {} prompts", recording.tokens,
                        recording.decode_tokens, recording.prompts));
  }
  try {
    check_json_object(recording.run_json, "run");
  } catch (const Error& error) {
    corrupt(database, recording, error.what());
  }
  return recording;
}

[[noreturn]] void not_found(const Database& database, const std::string& what) {
  throw Error(ErrorCode::kNotFound,
              fmt::format("{}: there is no recording {}", database.path().string(), what),
              "'haq recordings' lists those that are there");
}

void check_fields(const Recording& recording, const std::string& state) {
  check_stored_name(recording.name, "a recording");
  if (!good_shape(recording.shape, state == "counts")) {
    fail(ErrorCode::kInvalidArgument,
         "recording \"{}\": shape is {} layers, {} experts, top-{}; expected 1 to {}, 1 to {}, and "
         "a top-k from 1 to {} that is no larger than the number of experts",
         recording.name, recording.shape.layers, recording.shape.experts, recording.shape.top_k,
         experts::kMaxLayers, experts::kMaxExperts, experts::kMaxTopK);
  }
  if (recording.dropped_events < 0) {
    fail(ErrorCode::kInvalidArgument, "recording \"{}\": {} dropped events", recording.name,
         recording.dropped_events);
  }
  check_json_object(recording.run_json, "run");
}

std::int64_t model_row(Database& database, const Recording& recording) {
  const auto bind = [&](Statement& statement) -> Statement& {
    return statement.bind(1, recording.fingerprint)
        .bind(2, recording.model)
        .bind(3, recording.architecture)
        .bind(4, std::int64_t{recording.shape.layers})
        .bind(5, std::int64_t{recording.shape.experts})
        .bind(6, std::int64_t{recording.shape.top_k});
  };
  Statement insert = database.prepare(
      "INSERT INTO models (fingerprint, name, architecture, layers, experts, top_k) "
      "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING");
  bind(insert).run();
  Statement select = database.prepare(
      "SELECT id FROM models WHERE fingerprint = ? AND name = ? AND architecture = ? AND "
      "layers = ? AND experts = ? AND top_k = ?");
  if (!bind(select).step())
    fail(ErrorCode::kCorrupt, "{}: no row of models", database.path().string());
  return select.integer(0);
}

}  // namespace

std::optional<Recording> find_recording(Database& database, const std::string& name) {
  Statement rows = database.prepare(fmt::format("{} WHERE r.name = ?", kSelect));
  if (!rows.bind(1, name).step()) return std::nullopt;
  return read_recording(database, rows);
}

Recording recording_by_name(Database& database, const std::string& name) {
  std::optional<Recording> found = find_recording(database, name);
  if (!found) not_found(database, fmt::format("\"{}\"", name));
  return std::move(*found);
}

Recording recording_by_id(Database& database, std::int64_t id) {
  Statement rows = database.prepare(fmt::format("{} WHERE r.id = ?", kSelect));
  if (!rows.bind(1, id).step()) not_found(database, std::to_string(id));
  return read_recording(database, rows);
}

std::vector<Recording> all_recordings(Database& database) {
  Statement rows =
      database.prepare(fmt::format("{} ORDER BY r.created_ms DESC, r.id DESC", kSelect));
  std::vector<Recording> recordings;
  while (rows.step()) recordings.push_back(read_recording(database, rows));
  return recordings;
}

Recording recording_of_file(Database& database) {
  Statement rows = database.prepare(
      "SELECT 0, name, created_ms, state, model, architecture, fingerprint, layers, experts, "
      "top_k, tokens, decode_tokens, prompts, dropped_events, source, run, notes FROM recording");
  if (!rows.step()) {
    fail(ErrorCode::kCorrupt, "{}: the table recording is empty", database.path().string());
  }
  return read_recording(database, rows);
}

void check_name_is_free(Database& database, const std::string& name) {
  Statement rows = database.prepare("SELECT 1 FROM recordings WHERE name = ?");
  if (!rows.bind(1, name).step()) return;
  throw Error(
      ErrorCode::kConflict,
      fmt::format("{}: there is a recording \"{}\" already", database.path().string(), name),
      "choose another name, or delete that recording first");
}

std::int64_t insert_recording(Database& database, const Recording& recording,
                              const std::string& state) {
  check_fields(recording, state);
  check_name_is_free(database, recording.name);
  const std::int64_t model = model_row(database, recording);
  database
      .prepare(
          "INSERT INTO recordings (name, created_ms, state, model, dropped_events, source, run, "
          "notes) VALUES (?, ?, ?, ?, ?, ?, ?, ?)")
      .bind(1, recording.name)
      .bind(2, recording.created_ms == 0 ? now_ms() : recording.created_ms)
      .bind(3, state)
      .bind(4, model)
      .bind(5, recording.dropped_events)
      .bind(6, recording.source)
      .bind(7, recording.run_json)
      .bind(8, recording.notes)
      .run();
  const std::int64_t id = database.last_insert_id();
  if (id >= std::int64_t{1} << (62 - kTokenKeyBits)) {
    fail(ErrorCode::kLimit, "{}: no number is left for a recording", database.path().string());
  }
  return id;
}

std::vector<std::int64_t> read_uses(Database& database, const Recording& recording,
                                    std::optional<bool> decode, Home home) {
  const ExpertShape& shape = recording.shape;
  std::vector<std::int64_t> uses(static_cast<std::size_t>(shape.total()), 0);
  Statement rows = database.prepare(
      home == Home::kStore
          ? "SELECT decode, layer, expert, uses FROM recording_uses WHERE recording = ?"
          : "SELECT decode, layer, expert, uses FROM uses");
  if (home == Home::kStore) rows.bind(1, recording.id);
  while (rows.step()) {
    const std::int64_t layer = rows.integer(1), expert = rows.integer(2), count = rows.integer(3);
    if (layer < 0 || layer >= shape.layers || expert < 0 || expert >= shape.experts || count < 0) {
      corrupt(database, recording,
              fmt::format("{} uses of expert {} in layer {}, expected layers 0 to {} and experts 0 "
                          "to {}",
                          count, expert, layer, shape.layers - 1, shape.experts - 1));
    }
    if (decode && (rows.integer(0) != 0) != *decode) continue;
    std::int64_t& sum = uses[static_cast<std::size_t>(
        shape.index(static_cast<int>(layer), static_cast<int>(expert)))];
    if (count > std::numeric_limits<std::int64_t>::max() - sum) {
      corrupt(database, recording,
              fmt::format("{} uses of expert {} in layer {}", count, expert, layer));
    }
    sum += count;
  }
  return uses;
}

void add_uses(Database& database, std::int64_t recording, bool decode, const ExpertShape& shape,
              std::span<const std::int64_t> uses) {
  Statement upsert = database.prepare(
      "INSERT INTO recording_uses (recording, decode, layer, expert, uses) VALUES (?, ?, ?, ?, ?) "
      "ON CONFLICT DO UPDATE SET uses = uses + excluded.uses");
  upsert.bind(1, recording).bind(2, std::int64_t{decode});
  for (int index = 0; index < shape.total(); ++index) {
    const std::int64_t count = uses[static_cast<std::size_t>(index)];
    if (count == 0) continue;
    upsert.reset()
        .bind(3, std::int64_t{shape.layer_of(index)})
        .bind(4, std::int64_t{shape.expert_of(index)})
        .bind(5, count)
        .run();
  }
}

}  // namespace haq::profile
