// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/profile/recordings/recordings.h"

#include "app/cli/commands.h"
#include "app/cli/console.h"
#include "app/cli/store.h"
#include "app/cli/traces.h"
#include "engine/base/clock.h"
#include "engine/base/json.h"
#include "engine/profile/recordings/recording_export.h"
#include "engine/profile/recordings/recording_import.h"

namespace haq::cli {

namespace {

using Json = nlohmann::ordered_json;
using profile::Recording;
using profile::Recordings;

constexpr Option kOptions[] = {
    {"--format", Kind::kChoice, "FORMAT", "sqlite", "export: the form", "sqlite|csv|npy|perfetto"},
    {"--out", Kind::kFile, "FILE", "", "export: the file to write"},
    {"--first-token", Kind::kInteger, "N", "0", "export: begin at this token", "", 0, 1e15},
    {"--tokens", Kind::kInteger, "N", "0", "export: so many tokens; 0: all that follow", "", 0,
     1e15},
    {"--name", Kind::kText, "NAME", "",
     "import, merge, rename: the new name; import without it takes the file's"},
};

Json recording_json(const Recording& recording) {
  Json json = {{"name", recording.name},
               {"state", recording.state},
               {"created_ms", recording.created_ms},
               {"model", recording.model},
               {"architecture", recording.architecture},
               {"fingerprint", recording.fingerprint},
               {"layers", recording.shape.layers},
               {"experts", recording.shape.experts},
               {"top_k", recording.shape.top_k},
               {"tokens", recording.tokens},
               {"decode_tokens", recording.decode_tokens},
               {"prompts", recording.prompts},
               {"dropped_events", recording.dropped_events},
               {"source", recording.source},
               {"notes", recording.notes}};
  json["run"] = parse_ordered_json(recording.run_json, "run");
  return json;
}

std::string line(const Recording& recording) {
  return fmt::format("{}  {}  {} tokens ({} of decode, {} prompts)  {} x {} top-{}  {}  {}\n",
                     local_text(recording.created_ms), recording.state, recording.tokens,
                     recording.decode_tokens, recording.prompts, recording.shape.layers,
                     recording.shape.experts, recording.shape.top_k, recording.name,
                     recording.model.empty() ? recording.source : recording.model);
}

std::vector<std::string> names(const Arguments& arguments, std::size_t least, std::size_t most) {
  const std::vector<std::string> given = arguments.list("NAME");
  if (given.size() < least) {
    throw UsageError("NAME is missing", "'haq recordings' lists the names");
  }
  if (given.size() > most) throw UsageError("too many names", "see 'haq recordings --help'");
  return given;
}

std::string new_name(const Arguments& arguments) {
  if (!arguments.given("--name")) throw UsageError("--name is missing", "give the new name");
  return arguments.text("--name");
}

/// Says what there is now of a name.
int report(const Arguments& arguments, Recordings& recordings, const std::string& name,
           const std::vector<std::string>& notices = {}) {
  for (const std::string& notice : notices) note(arguments, notice);
  const Recording recording = recordings.get(name);
  if (!arguments.flag("--json")) {
    print(line(recording));
    return kExitDone;
  }
  Json json;
  json["recordings"] = Json::array({recording_json(recording)});
  json["notices"] = notices;
  print_json(json);
  return kExitDone;
}

int list(const Arguments& arguments) {
  Json rows = Json::array();
  std::string text;
  if (have_database(arguments)) {
    profile::StoreFile store = open_store_to_read(arguments);
    for (const Recording& recording : Recordings(store.database).list()) {
      rows.push_back(recording_json(recording));
      text += line(recording);
    }
  }
  if (arguments.flag("--json")) {
    print_json({{"recordings", rows}});
  } else {
    print(text.empty() ? "no recordings\n" : text);
  }
  return kExitDone;
}

Json uses_json(const std::vector<std::int64_t>& uses, const experts::ExpertShape& shape) {
  Json layers = Json::array();
  for (int layer = 0; layer < shape.layers; ++layer) {
    const auto begin = uses.begin() + shape.index(layer, 0);
    layers.push_back(std::vector<std::int64_t>(begin, begin + shape.experts));
  }
  return layers;
}

int show(const Arguments& arguments) {
  const std::string name = names(arguments, 1, 1).front();
  profile::StoreFile store = open_store_to_read(arguments);
  Recordings recordings(store.database);
  const Recording recording = recordings.get(name);
  if (!arguments.flag("--json")) {
    print(recording_json(recording).dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
    return kExitDone;
  }
  Json json = recording_json(recording);
  json["uses"] = {{"prefill", uses_json(recordings.uses(name, false), recording.shape)},
                  {"decode", uses_json(recordings.uses(name, true), recording.shape)}};
  print_json({{"recordings", Json::array({json})}});
  return kExitDone;
}

int export_to(const Arguments& arguments) {
  const std::string name = names(arguments, 1, 1).front();
  if (!arguments.given("--out")) throw UsageError("--out is missing", "name the file to write");
  const std::string out = arguments.text("--out");
  profile::StoreFile store = open_store_to_read(arguments);
  ProgressDisplay progress(arguments.flag("--quiet"));
  const profile::ExportedRecording exported = profile::export_recording(
      store.database, name, profile::recording_form_from(arguments.text("--format")), out,
      {arguments.integer("--first-token"), arguments.integer("--tokens")}, progress.callback(),
      interrupt_token());
  progress.clear();
  for (const std::string& notice : exported.notices) note(arguments, notice);
  if (arguments.flag("--json")) {
    print_json({{"recording", name},
                {"format", arguments.text("--format")},
                {"out", out},
                {"tokens", exported.tokens},
                {"bytes", std::filesystem::file_size(out)},
                {"notices", exported.notices}});
  } else {
    note(arguments, fmt::format("written to {}", out));
  }
  return kExitDone;
}

int import_from(const Arguments& arguments) {
  const std::string file = names(arguments, 1, 1).front();
  profile::ImportedRecording imported =
      profile::read_recording_file(file, trace_hints(arguments), interrupt_token());
  if (arguments.given("--name")) imported.recording.name = arguments.text("--name");
  profile::StoreFile store = open_store(arguments);
  Recordings recordings(store.database);
  ProgressDisplay progress(arguments.flag("--quiet"));
  profile::add_imported(recordings, imported, progress.callback(), interrupt_token());
  progress.clear();
  return report(arguments, recordings, imported.recording.name, imported.notices);
}

int merge(const Arguments& arguments) {
  const std::vector<std::string> sources = names(arguments, 2, 1000);
  const std::string name = new_name(arguments);
  profile::StoreFile store = open_store(arguments);
  Recordings recordings(store.database);
  ProgressDisplay progress(arguments.flag("--quiet"));
  recordings.merge(sources, name, progress.callback(), interrupt_token());
  progress.clear();
  return report(arguments, recordings, name);
}

/// For deleting and renaming there must be a database.
profile::StoreFile open_existing(const Arguments& arguments) {
  if (have_database(arguments)) return open_store(arguments);
  throw Error(ErrorCode::kNotFound,
              fmt::format("{} does not exist", database_path(arguments).string()),
              "nothing is recorded yet");
}

int rename(const Arguments& arguments) {
  const std::string from = names(arguments, 1, 1).front(), to = new_name(arguments);
  profile::StoreFile store = open_existing(arguments);
  Recordings recordings(store.database);
  recordings.rename(from, to);
  return report(arguments, recordings, to);
}

int remove(const Arguments& arguments) {
  const std::vector<std::string> gone = names(arguments, 1, 1000);
  profile::StoreFile store = open_existing(arguments);
  Recordings recordings(store.database);
  for (const std::string& name : gone) {
    recordings.remove(name);
    if (!arguments.flag("--json")) note(arguments, fmt::format("'{}' is deleted", name));
  }
  if (arguments.flag("--json")) print_json({{"deleted", gone}});
  return kExitDone;
}

int run(const Arguments& arguments) {
  const std::string action = arguments.positional("ACTION");
  if (action == "show") return show(arguments);
  if (action == "export") return export_to(arguments);
  if (action == "import") return import_from(arguments);
  if (action == "merge") return merge(arguments);
  if (action == "rename") return rename(arguments);
  if (action == "delete") return remove(arguments);
  if (arguments.given("NAME")) throw UsageError("list takes no NAME", "leave it out");
  return list(arguments);
}

}  // namespace

Command recordings_command() {
  return {
      "recordings",
      "list, show, export, import, merge, rename and delete recorded expert paths",
      "Works on the recordings that profile, --record and the window store. export writes a "
      "stand-alone SQLite file, rows of layer,expert, an int16 .npy [tokens, layers, top_k], or "
      "a Chrome/Perfetto trace whose times are synthetic. import reads the first three back, "
      "route CSVs, folders with experts.u8 and index.jsonl, and the counts per expert of a "
      "llama.cpp importance matrix (GGUF).",
      {{"ACTION", Kind::kChoice, "list (default), show, export, import, merge, rename or delete",
        false, "list|show|export|import|merge|rename|delete"},
       {"NAME", Kind::kText, "names of recordings; import: the file or folder", false, "", true}},
      {kOptions, trace_options()},
      {{"haq recordings", "what is recorded"},
       {"haq recordings export monday --format npy --out monday.npy", "for other programs"},
       {"haq recordings import route.csv --name others --experts 128", "paths of others"},
       {"haq recordings merge monday tuesday --name week", "one recording of both"}},
      run};
}

}  // namespace haq::cli
