// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/progress.h"
#include "engine/profile/store/sqlite.h"

namespace haq::profile {

enum class RecordingForm {
  kSqlite,    ///< a stand-alone SQLite file with everything that was recorded; its schema says what
  kCsv,       ///< rows layer,expert; a new token starts where the layer number falls
  kNpy,       ///< int16 [tokens, layers, top_k], -1 for absent
  kPerfetto,  ///< Chrome trace JSON: one track per layer, a slice per step, synthetic times
};
/// "sqlite", "csv", "npy", "perfetto"; throws kInvalidArgument for another word.
RecordingForm recording_form_from(std::string_view name);
const char* file_suffix(RecordingForm form);  ///< ".db", ".csv", ".npy", ".json"

/// Which tokens to write; `count` 0: all from `first` on.
struct TokenRange {
  std::int64_t first = 0, count = 0;
};

struct ExportedRecording {
  std::int64_t tokens = 0;
  std::vector<std::string> notices;  ///< what the form cannot express, in sentences
};

/// Writes a recording of the user's database to a file, which appears whole or not at all. Reads
/// row by row: memory does not grow with the recording. Throws kNotFound for an unknown name,
/// kInvalidArgument for a recording of counts where paths are needed or a range outside it,
/// kUnsupported where the form cannot hold it, kNoSpace, kIo, kCancelled.
ExportedRecording export_recording(Database& database, const std::string& name, RecordingForm form,
                                   const std::filesystem::path& file, const TokenRange& range = {},
                                   const ProgressCallback& progress = {},
                                   const CancelToken& cancel = {});

}  // namespace haq::profile
