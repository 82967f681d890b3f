// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/base/progress.h"
#include "engine/experts/trace.h"
#include "engine/profile/store/sqlite.h"

namespace haq::profile {

/// A recording as lists show it.
struct Recording {
  std::int64_t id = 0;
  std::string name;             ///< unique, 1 to 200 characters, no control characters
  std::int64_t created_ms = 0;  ///< UTC
  /// "recording", "done", "interrupted" (its finished part is there), "counts" (no paths, only uses
  /// per expert: an imported importance matrix)
  std::string state;
  std::string model, architecture, fingerprint;  ///< base fingerprint; empty for foreign paths
  experts::ExpertShape shape;
  std::int64_t tokens = 0, decode_tokens = 0, prompts = 0;
  std::int64_t dropped_events = 0;
  std::string source;  ///< "live", or the file it was imported from
  /// JSON object: device, policy, capacity, miss mode, cost table, options; what a replay needs to
  /// decide the same. "{}" for imports.
  std::string run_json = "{}";
  std::string notes;
};

/// One token as it is stored.
struct RecordedToken {
  std::int32_t prompt = 0;
  std::int64_t batch = 0;  ///< running number of the forward pass
  bool decode = true;
  std::span<const std::uint16_t> path;  ///< [layers][top_k], Trace::kAbsent for what is not known
};

/// Recorded expert paths in the user's database. Borrowed connection, same threading and errors as
/// it; kNotFound for an unknown name or id, kConflict for a name that is taken, kInvalidArgument.
class Recordings {
 public:
  explicit Recordings(Database& database) : database_(database) {}
  std::vector<Recording> list();  ///< newest first
  Recording get(const std::string& name);
  std::optional<Recording> find(const std::string& name);  ///< nullopt for an unknown name
  /// Begins a recording in state "recording"; `tokens`, `decode_tokens`, `prompts` start at 0.
  std::int64_t begin(const Recording& recording);
  /// Adds tokens behind those that are there, in one transaction, and brings the counters
  /// (uses per phase, layer, expert) and the sums of the row up to date.
  void append(std::int64_t id, std::span<const RecordedToken> tokens);
  /// state "done" (or "interrupted"), dropped events, run_json.
  void finish(std::int64_t id, const std::string& state, std::int64_t dropped_events,
              const std::string& run_json);
  /// All paths. kInvalidArgument for a recording of counts only.
  experts::Trace read(const std::string& name, const CancelToken& cancel = {});
  /// Uses per (layer * experts + expert); phase: empty for both.
  std::vector<std::int64_t> uses(const std::string& name, std::optional<bool> decode);
  /// Stores a whole trace as a recording of state "done", or "interrupted" when `recording` says
  /// so.
  std::int64_t add(const Recording& recording, const experts::Trace& trace,
                   const ProgressCallback& progress = {}, const CancelToken& cancel = {});
  /// Stores uses per expert only (state "counts").
  std::int64_t add_counts(const Recording& recording, std::span<const std::int64_t> uses);
  void remove(const std::string& name);
  void rename(const std::string& name, const std::string& to);
  /// A new recording of the tokens of several of one shape, prompts renumbered. kInvalidArgument
  /// when shapes or known fingerprints differ.
  std::int64_t merge(std::span<const std::string> names, const std::string& to,
                     const ProgressCallback& progress = {}, const CancelToken& cancel = {});
  /// Recordings marked "recording" by a program that is gone become "interrupted". Called when a
  /// store is opened for writing.
  int recover();

 private:
  Database& database_;
};

}  // namespace haq::profile
