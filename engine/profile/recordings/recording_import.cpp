// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/profile/recordings/recording_import.h"

#include <algorithm>
#include <array>
#include <fstream>

#include "engine/profile/recordings/imatrix.h"
#include "engine/profile/recordings/recording_forms.h"
#include "engine/profile/traces/trace_reader.h"

namespace haq::profile {
namespace {

namespace fs = std::filesystem;
using experts::Trace;

void check_hint(int hint, int found, const char* field, const std::string& what) {
  if (hint == 0 || hint == found) return;
  fail(ErrorCode::kInvalidArgument, "{}: {} is {} in the file, {} was given", what, field, found,
       hint);
}

/// A token cannot choose an expert twice: such paths are of another shape than they are read as.
void check_distinct(const Trace& trace, const std::string& what, const CancelToken& cancel) {
  std::vector<std::int64_t> last(static_cast<std::size_t>(trace.shape.experts), -1);
  for (std::int64_t token = 0; token < trace.tokens(); ++token) {
    if (token % 4096 == 0) cancel.check();
    for (int layer = 0; layer < trace.shape.layers; ++layer) {
      const std::int64_t place = token * trace.shape.layers + layer;
      for (const std::uint16_t expert : trace.choices(token, layer)) {
        if (expert == Trace::kAbsent) continue;
        if (last[expert] == place) {
          throw Error(
              ErrorCode::kCorrupt,
              fmt::format("{}: token {} names expert {} twice in layer {} of {} (top-{})", what,
                          token, expert, layer, trace.shape.layers, trace.shape.top_k),
              "check --layers and --top-k");
        }
        last[expert] = place;
      }
    }
  }
}

/// Tells how many tokens lack a choice somewhere.
void note_ragged(const Trace& trace, const std::string& what, std::vector<std::string>& notices) {
  const std::int64_t width = std::int64_t{trace.shape.layers} * trace.shape.top_k;
  std::int64_t ragged = 0;
  for (std::int64_t token = 0; token < trace.tokens(); ++token) {
    const auto begin = trace.ids.begin() + token * width;
    if (std::find(begin, begin + width, Trace::kAbsent) != begin + width) ++ragged;
  }
  if (ragged == 0) return;
  notices.push_back(
      fmt::format("{}: {} of {} tokens name fewer than {} experts in some layer; what is missing "
                  "counts as not recorded.",
                  what, ragged, trace.tokens(), trace.shape.top_k));
}

Trace read_tokens(Database& database, const Recording& recording, const CancelToken& cancel) {
  const std::int64_t width = std::int64_t{recording.shape.layers} * recording.shape.top_k;
  if (recording.tokens > kMaxChoices / width) {
    fail(ErrorCode::kLimit, "{}: {} tokens of {} layers and top-{} are too many",
         database.path().string(), recording.tokens, recording.shape.layers, recording.shape.top_k);
  }
  Trace trace;
  trace.shape = recording.shape;
  TokenReader reader(database, recording, Home::kFile);
  RecordedToken token;
  std::int64_t number = 0, batch = -1;
  while (reader.next(token)) {
    if (number % 4096 == 0) cancel.check();
    if (token.batch != batch) trace.batches.push_back({number, 0, token.prompt, token.decode});
    batch = token.batch;
    ++trace.batches.back().tokens;
    trace.ids.insert(trace.ids.end(), token.path.begin(), token.path.end());
    ++number;
  }
  return trace;
}

ImportedRecording read_standalone(const fs::path& path, const TraceHints& hints,
                                  const CancelToken& cancel) {
  const std::string what = path.string();
  Database database = Database::open(path, Database::Access::kReadOnly);
  const std::int64_t application = database.query_integer("PRAGMA application_id");
  const std::int64_t version = database.query_integer("PRAGMA user_version");
  if (application != kRecordingApplicationId) {
    throw Error(ErrorCode::kUnsupported,
                fmt::format("{}: a SQLite file, but no exported recording (application id {:#x}, "
                            "expected {:#x})",
                            what, application, kRecordingApplicationId),
                "give a file written by 'haq recordings export --format sqlite'");
  }
  if (version != kRecordingFileVersion) {
    throw Error(ErrorCode::kConflict,
                fmt::format("{}: form {} of an exported recording, this program knows {}", what,
                            version, kRecordingFileVersion),
                "update the program");
  }
  if (const std::string verdict = database.query_text("PRAGMA quick_check(1)"); verdict != "ok") {
    fail(ErrorCode::kCorrupt, "{}: {}", what, verdict);
  }
  ImportedRecording imported;
  imported.recording = recording_of_file(database);
  Recording& recording = imported.recording;
  check_hint(hints.layers, recording.shape.layers, "layers", what);
  check_hint(hints.experts, recording.shape.experts, "experts", what);
  check_hint(hints.top_k, recording.shape.top_k, "top-k", what);
  if (recording.state == "recording") recording.state = "interrupted";
  if (recording.state == "counts") {
    imported.uses = read_uses(database, recording, {}, Home::kFile);
    return imported;
  }
  if (recording.tokens == 0) fail(ErrorCode::kCorrupt, "{}: the recording has no tokens", what);
  imported.trace = read_tokens(database, recording, cancel);
  return imported;
}

const std::string kSqliteMagic("SQLite format 3", 16);

std::string first_bytes(const fs::path& path) {
  std::error_code ignored;
  if (!fs::is_regular_file(path, ignored)) return {};
  std::array<char, 16> bytes{};
  std::ifstream file(path, std::ios::binary);
  file.read(bytes.data(), bytes.size());
  return {bytes.data(), static_cast<std::size_t>(file.gcount())};
}

}  // namespace

ImportedRecording read_recording_file(const fs::path& path, const TraceHints& hints,
                                      const CancelToken& cancel) {
  const std::string magic = first_bytes(path);
  ImportedRecording imported;
  if (magic == kSqliteMagic) {
    imported = read_standalone(path, hints, cancel);
  } else if (magic.starts_with("GGUF")) {
    imported = read_imatrix(path, hints);
  } else {
    refuse_older_imatrix(path);
    imported.trace = read_trace(path, hints);
    imported.notices = std::move(imported.trace->notices);
    imported.recording.state = "done";
    note_ragged(*imported.trace, path.string(), imported.notices);
  }
  if (imported.trace) {
    check_distinct(*imported.trace, path.string(), cancel);
    imported.recording.shape = imported.trace->shape;
  }
  Recording& recording = imported.recording;
  recording.id = 0;
  const fs::path plain = path.has_filename() ? path : path.parent_path();
  if (recording.name.empty()) recording.name = plain.stem().string();
  if (recording.source.empty()) recording.source = plain.filename().string();
  return imported;
}

bool is_recording_file(const fs::path& path) {
  return first_bytes(path) == kSqliteMagic;
}

std::int64_t add_imported(Recordings& recordings, const ImportedRecording& imported,
                          const ProgressCallback& progress, const CancelToken& cancel) {
  if (imported.trace) {
    return recordings.add(imported.recording, *imported.trace, progress, cancel);
  }
  return recordings.add_counts(imported.recording, imported.uses);
}

}  // namespace haq::profile
