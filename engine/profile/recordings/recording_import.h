// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/progress.h"
#include "engine/profile/recordings/recordings.h"
#include "engine/profile/traces/trace.h"

namespace haq::profile {

/// What a file of others, or an exported recording, holds.
struct ImportedRecording {
  Recording
      recording;  ///< name: what the file calls itself; state "done", "interrupted" or "counts"
  std::optional<experts::Trace> trace;
  std::vector<std::int64_t> uses;    ///< of state "counts", by layer * experts + expert
  std::vector<std::string> notices;  ///< what was inferred, left out or is missing, in sentences
};

/// Reads, besides what read_trace() reads, a stand-alone SQLite file (export_recording()) and the
/// counts per expert of an importance matrix of llama.cpp in its GGUF form. Untrusted: kCorrupt
/// naming the file and the place, kLimit, kUnsupported, kInvalidArgument when hints contradict the
/// file or something cannot be inferred.
ImportedRecording read_recording_file(const std::filesystem::path& path,
                                      const TraceHints& hints = {}, const CancelToken& cancel = {});

/// Whether a file is SQLite, so that only read_recording_file() can be meant.
bool is_recording_file(const std::filesystem::path& path);

/// Stores it under its name.
std::int64_t add_imported(Recordings& recordings, const ImportedRecording& imported,
                          const ProgressCallback& progress = {}, const CancelToken& cancel = {});

}  // namespace haq::profile
