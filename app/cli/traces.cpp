// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/traces.h"

#include "app/cli/console.h"
#include "engine/base/error.h"
#include "engine/profile/chats/chat_store.h"
#include "engine/profile/recordings/recording_import.h"
#include "engine/profile/recordings/recordings.h"
#include "engine/profile/store/store_file.h"

namespace haq::cli {

namespace {

constexpr Option kTraceOptions[] = {
    {"--experts", Kind::kInteger, "N", "0", "experts of a layer, where the file does not say", "",
     0, experts::kMaxExperts},
    {"--layers", Kind::kInteger, "N", "0", "layers, where the file does not say", "", 0,
     experts::kMaxLayers},
    {"--top-k", Kind::kInteger, "N", "0", "experts of a token, where the file does not say", "", 0,
     experts::kMaxTopK},
};

void check_hint(int hint, int found, const char* field, const std::string& name) {
  if (hint == 0 || hint == found) return;
  fail(ErrorCode::kInvalidArgument, "the recording \"{}\" has {} {}, {} was given", name, found,
       field, hint);
}

/// A file that 'haq recordings export' wrote.
NamedTrace load_exported(const std::string& file, const profile::TraceHints& hints) {
  profile::ImportedRecording imported =
      profile::read_recording_file(file, hints, interrupt_token());
  if (!imported.trace) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{} holds uses per expert only, no paths", file),
                "name a recording with paths");
  }
  return {file, std::move(*imported.trace), imported.recording.architecture,
          imported.recording.fingerprint};
}

NamedTrace load_file(const std::string& file, const profile::TraceHints& hints) {
  if (profile::is_recording_file(file)) return load_exported(file, hints);
  return {file, profile::read_trace(file, hints), {}, {}};
}

NamedTrace load_recording(const Arguments& arguments, const std::string& name,
                          const profile::TraceHints& hints) {
  const std::filesystem::path file = database_path(arguments);
  if (!std::filesystem::exists(file)) {
    throw Error(ErrorCode::kNotFound,
                fmt::format("{}: no such file, and no recording, for {} does not exist", name,
                            file.string()),
                "name a file of recorded paths, or record some with 'haq profile'");
  }
  profile::StoreFile store = profile::StoreFile::open_to_read(file);
  profile::Recordings recordings(store.database);
  const profile::Recording recording = recordings.get(name);
  check_hint(hints.layers, recording.shape.layers, "layers", name);
  check_hint(hints.experts, recording.shape.experts, "experts", name);
  check_hint(hints.top_k, recording.shape.top_k, "experts per token", name);
  return {name, recordings.read(name, interrupt_token()), recording.architecture,
          recording.fingerprint};
}

}  // namespace

std::span<const Option> trace_options() {
  return kTraceOptions;
}

profile::TraceHints trace_hints(const Arguments& arguments) {
  return {static_cast<int>(arguments.integer("--layers")),
          static_cast<int>(arguments.integer("--experts")),
          static_cast<int>(arguments.integer("--top-k"))};
}

std::filesystem::path database_path(const Arguments& arguments) {
  return arguments.given("--db") ? std::filesystem::path(arguments.text("--db"))
                                 : profile::ChatStore::default_path();
}

NamedTrace load_trace(const Arguments& arguments, const std::string& text,
                      const profile::TraceHints& hints) {
  NamedTrace found = std::filesystem::exists(text) ? load_file(text, hints)
                                                   : load_recording(arguments, text, hints);
  for (const std::string& notice : found.trace.notices) note(arguments, notice);
  return found;
}

std::vector<NamedTrace> load_traces(const Arguments& arguments,
                                    const std::vector<std::string>& names,
                                    const profile::TraceHints& hints) {
  std::vector<NamedTrace> traces;
  for (const std::string& name : names) {
    traces.push_back(load_trace(arguments, name, hints));
    const NamedTrace& first = traces.front();
    const NamedTrace& last = traces.back();
    if (first.trace.shape.layers != last.trace.shape.layers ||
        first.trace.shape.experts != last.trace.shape.experts ||
        first.trace.shape.top_k != last.trace.shape.top_k) {
      throw Error(
          ErrorCode::kInvalidArgument,
          fmt::format("{} has {} layers of {} experts, top-{}, {} has {} of {}, top-{}", first.name,
                      first.trace.shape.layers, first.trace.shape.experts, first.trace.shape.top_k,
                      last.name, last.trace.shape.layers, last.trace.shape.experts,
                      last.trace.shape.top_k),
          "name recordings of one model; --layers, --experts, --top-k say what a file leaves out");
    }
    if (!first.fingerprint.empty() && !last.fingerprint.empty() &&
        first.fingerprint != last.fingerprint) {
      fail(ErrorCode::kInvalidArgument, "{} and {} are recordings of different models", first.name,
           last.name);
    }
  }
  return traces;
}

}  // namespace haq::cli
