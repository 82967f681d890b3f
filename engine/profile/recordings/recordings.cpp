// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/profile/recordings/recordings.h"

#include <algorithm>
#include <set>

#include "engine/profile/recordings/recording_rows.h"
#include "engine/profile/store/stored_values.h"

namespace haq::profile {
namespace {

using experts::Trace;

/// Looks whether somebody wants to stop, and reports, every so many tokens.
class Pace {
 public:
  Pace(const char* stage, std::int64_t total, ProgressCallback progress, CancelToken cancel)
      : stage_(stage), total_(total), progress_(std::move(progress)), cancel_(std::move(cancel)) {}
  void step() {
    constexpr std::int64_t kEvery = 4096;
    if (done_++ % kEvery != 0) return;
    cancel_.check();
    if (progress_) {
      progress_({stage_, static_cast<std::uint64_t>(done_), static_cast<std::uint64_t>(total_),
                 "tokens"});
    }
  }

 private:
  const char* stage_;
  std::int64_t total_, done_ = 0;
  ProgressCallback progress_;
  CancelToken cancel_;
};

void require_paths(const Database& database, const Recording& recording) {
  if (recording.state != "counts") return;
  throw Error(ErrorCode::kInvalidArgument,
              fmt::format("{}: recording \"{}\" holds uses per expert only, no paths",
                          database.path().string(), recording.name),
              "choose a recording with paths; a plan by frequency can be made from this one");
}

void check_found(const Database& database, const std::string& name) {
  if (database.changes() != 0) return;
  throw Error(ErrorCode::kNotFound,
              fmt::format("{}: there is no recording \"{}\"", database.path().string(), name),
              "'haq recordings' lists those that are there");
}

Recording begun(Database& database, std::int64_t id) {
  Recording recording = recording_by_id(database, id);
  if (recording.state != "recording") {
    fail(ErrorCode::kInvalidArgument, "{}: recording \"{}\" is {}, nothing can be added to it",
         database.path().string(), recording.name, recording.state);
  }
  return recording;
}

void set_state(Database& database, std::int64_t id, const std::string& state) {
  database.prepare("UPDATE recordings SET state = ? WHERE id = ?").bind(1, state).bind(2, id).run();
}

}  // namespace

std::vector<Recording> Recordings::list() {
  return all_recordings(database_);
}

Recording Recordings::get(const std::string& name) {
  return recording_by_name(database_, name);
}

std::optional<Recording> Recordings::find(const std::string& name) {
  return find_recording(database_, name);
}

std::int64_t Recordings::begin(const Recording& recording) {
  Transaction transaction(database_);
  const std::int64_t id = insert_recording(database_, recording, "recording");
  transaction.commit();
  return id;
}

void Recordings::append(std::int64_t id, std::span<const RecordedToken> tokens) {
  Transaction transaction(database_);
  TokenWriter writer(database_, begun(database_, id));
  for (const RecordedToken& token : tokens) writer.add(token);
  writer.finish();
  transaction.commit();
}

void Recordings::finish(std::int64_t id, const std::string& state, std::int64_t dropped_events,
                        const std::string& run_json) {
  if (state != "done" && state != "interrupted") {
    fail(ErrorCode::kInvalidArgument,
         "state of a finished recording: found \"{}\", expected done or interrupted", state);
  }
  if (dropped_events < 0) fail(ErrorCode::kInvalidArgument, "{} dropped events", dropped_events);
  check_json_object(run_json, "run");
  Transaction transaction(database_);
  begun(database_, id);
  database_.prepare("UPDATE recordings SET state = ?, dropped_events = ?, run = ? WHERE id = ?")
      .bind(1, state)
      .bind(2, dropped_events)
      .bind(3, run_json)
      .bind(4, id)
      .run();
  transaction.commit();
}

Trace Recordings::read(const std::string& name, const CancelToken& cancel) {
  const Recording recording = get(name);
  require_paths(database_, recording);
  const std::int64_t width = std::int64_t{recording.shape.layers} * recording.shape.top_k;
  // The row's sum is not trusted with the memory: beyond this much the vector grows as it is
  // filled.
  constexpr std::int64_t kReserve = std::int64_t{64} << 20;
  Trace trace;
  trace.shape = recording.shape;
  trace.ids.reserve(static_cast<std::size_t>(
      recording.tokens > kReserve / width ? kReserve : recording.tokens * width));
  Pace pace("reading", recording.tokens, {}, cancel);
  TokenReader reader(database_, recording);
  RecordedToken token;
  std::int64_t number = 0, batch = -1;
  while (reader.next(token)) {
    pace.step();
    if (token.batch != batch) trace.batches.push_back({number, 0, token.prompt, token.decode});
    batch = token.batch;
    ++trace.batches.back().tokens;
    trace.ids.insert(trace.ids.end(), token.path.begin(), token.path.end());
    ++number;
  }
  if (recording.state == "interrupted") {
    trace.notices.push_back(fmt::format(
        "The recording \"{}\" was interrupted; it has the {} tokens that were finished.",
        recording.name, recording.tokens));
  }
  if (recording.dropped_events > 0) {
    trace.notices.push_back(fmt::format(
        "{} events were dropped while \"{}\" was recorded; the tokens they belong to are left out.",
        recording.dropped_events, recording.name));
  }
  return trace;
}

std::vector<std::int64_t> Recordings::uses(const std::string& name, std::optional<bool> decode) {
  return read_uses(database_, get(name), decode, Home::kStore);
}

std::int64_t Recordings::add(const Recording& recording, const Trace& trace,
                             const ProgressCallback& progress, const CancelToken& cancel) {
  Transaction transaction(database_);
  Recording stored = recording;
  stored.shape = trace.shape;
  stored.tokens = stored.decode_tokens = stored.prompts = 0;
  stored.id = insert_recording(database_, stored, "recording");
  TokenWriter writer(database_, stored);
  Pace pace("storing", trace.tokens(), progress, cancel);
  const auto width =
      static_cast<std::size_t>(trace.shape.layers) * static_cast<std::size_t>(trace.shape.top_k);
  std::int64_t number = 0, expected = 0;
  for (const Trace::Batch& batch : trace.batches) {
    if (batch.first_token != expected || batch.tokens < 1 ||
        batch.tokens > trace.tokens() - expected) {
      fail(ErrorCode::kInvalidArgument, "recording \"{}\": batch {} does not follow the one before",
           recording.name, number);
    }
    for (std::int64_t token = expected; token < expected + batch.tokens; ++token) {
      pace.step();
      writer.add({batch.prompt, number, batch.decode,
                  std::span(trace.ids).subspan(static_cast<std::size_t>(token) * width, width)});
    }
    expected += batch.tokens;
    ++number;
  }
  if (expected != trace.tokens()) {
    fail(ErrorCode::kInvalidArgument, "recording \"{}\": the batches hold {} of {} tokens",
         recording.name, expected, trace.tokens());
  }
  writer.finish();
  set_state(database_, stored.id, recording.state == "interrupted" ? "interrupted" : "done");
  transaction.commit();
  return stored.id;
}

std::int64_t Recordings::add_counts(const Recording& recording,
                                    std::span<const std::int64_t> uses) {
  Transaction transaction(database_);
  const std::int64_t id = insert_recording(database_, recording, "counts");
  if (uses.size() != static_cast<std::size_t>(recording.shape.total()) ||
      std::any_of(uses.begin(), uses.end(), [](std::int64_t count) { return count < 0; })) {
    fail(ErrorCode::kInvalidArgument,
         "recording \"{}\": {} uses, expected {}, none of them negative", recording.name,
         uses.size(), recording.shape.total());
  }
  add_uses(database_, id, false, recording.shape, uses);
  transaction.commit();
  return id;
}

void Recordings::remove(const std::string& name) {
  database_.prepare("DELETE FROM recordings WHERE name = ?").bind(1, name).run();
  check_found(database_, name);
}

void Recordings::rename(const std::string& name, const std::string& to) {
  check_stored_name(to, "a recording");
  if (name != to) check_name_is_free(database_, to);
  database_.prepare("UPDATE recordings SET name = ? WHERE name = ?")
      .bind(1, to)
      .bind(2, name)
      .run();
  check_found(database_, name);
}

std::int64_t Recordings::merge(std::span<const std::string> names, const std::string& to,
                               const ProgressCallback& progress, const CancelToken& cancel) {
  if (names.size() < 2 || std::set(names.begin(), names.end()).size() != names.size()) {
    fail(ErrorCode::kInvalidArgument, "merging needs two or more different recordings");
  }
  Transaction transaction(database_);
  std::vector<Recording> sources;
  Recording merged;
  merged.name = to;
  merged.source = "merged";
  std::int64_t tokens = 0;
  for (const std::string& name : names) {
    const Recording& source = sources.emplace_back(get(name));
    require_paths(database_, source);
    const Recording& first = sources.front();
    if (source.shape != first.shape) {
      fail(ErrorCode::kInvalidArgument,
           "recording \"{}\" has {} layers, {} experts, top-{}; \"{}\" has {}, {}, {}", name,
           source.shape.layers, source.shape.experts, source.shape.top_k, first.name,
           first.shape.layers, first.shape.experts, first.shape.top_k);
    }
    if (merged.fingerprint.empty()) {
      merged.fingerprint = source.fingerprint;
      merged.architecture = source.architecture;
      merged.model = source.model;
    } else if (!source.fingerprint.empty() && source.fingerprint != merged.fingerprint) {
      fail(ErrorCode::kInvalidArgument,
           "recording \"{}\" is of another model ({}) than those before it ({})", name,
           source.fingerprint, merged.fingerprint);
    }
    merged.notes += (merged.notes.empty() ? "merged from " : ", ") + name;
    merged.dropped_events += source.dropped_events;
    tokens += source.tokens;
  }
  merged.shape = sources.front().shape;
  merged.id = insert_recording(database_, merged, "recording");
  TokenWriter writer(database_, merged);
  Pace pace("merging", tokens, progress, cancel);
  std::int64_t last_batch = -1;  // of the merged recording
  std::int32_t last_prompt = -1;
  for (const Recording& source : sources) {
    TokenReader reader(database_, source);
    RecordedToken token;
    std::int64_t batch = -1;
    std::int32_t prompt = -1;
    while (reader.next(token)) {
      pace.step();
      if (token.batch != batch) ++last_batch;
      if (token.prompt != prompt) ++last_prompt;
      batch = token.batch;
      prompt = token.prompt;
      writer.add({last_prompt, last_batch, token.decode, token.path});
    }
  }
  writer.finish();
  set_state(database_, merged.id, "done");
  transaction.commit();
  return merged.id;
}

int Recordings::recover() {
  database_.exec("UPDATE recordings SET state = 'interrupted' WHERE state = 'recording'");
  return static_cast<int>(database_.changes());
}

}  // namespace haq::profile
