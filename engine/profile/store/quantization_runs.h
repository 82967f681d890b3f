// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/profile/store/sqlite.h"

namespace haq::profile {

/// One quantization as the store remembers it. The report itself is kept as the JSON text that also
/// lies in the written folder; the columns are what lists and comparisons need.
struct QuantizationRun {
  std::int64_t id = 0;
  std::int64_t started_ms = 0, finished_ms = 0;  ///< UTC; finished 0 while it runs or was stopped
  std::string state;  ///< "running", "done", "failed", "stopped" (can be continued)
  std::string source, target, method;
  std::string options_json;  ///< to run it again
  std::string report_json;   ///< empty until done; list() leaves it out
  std::string error;
  double seconds = 0;
  std::optional<double> ppl_before, ppl_after, kld_mean;
  std::int64_t bytes_before = 0, bytes_after = 0;
};

/// Runs in the user's database. Borrowed connection; same threading and errors as it. An unknown id
/// is kNotFound; kInvalidArgument for an unknown state or texts that are no JSON objects.
class QuantizationRuns {
 public:
  explicit QuantizationRuns(Database& database) : database_(database) {}
  std::vector<QuantizationRun> list();  ///< newest first, without report_json
  QuantizationRun get(std::int64_t id);
  /// Stores a new run under an id of its own, which is returned. A start of 0 becomes now.
  std::int64_t add(const QuantizationRun& run);
  /// Replaces every field. One that came from list() would lose its report: take it from get().
  void update(const QuantizationRun& run);
  void remove(std::int64_t id);  ///< the row; never the folder
  /// Runs marked running by a program that is gone become "stopped". Called when a store is opened.
  int recover();

 private:
  Database& database_;
};

}  // namespace haq::profile
