// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "app/cli/options.h"
#include "engine/profile/store/quantization_runs.h"
#include "engine/session/quantize_job.h"

namespace haq::cli {

/// The row of a run in the user's database. The database is only held for the moments in which the
/// row is written, so that the window can be opened during a long run. When it cannot be written
/// (the window holds it), a remark on stderr says so and the run goes on without a row.
class QuantizeRecord {
 public:
  QuantizeRecord(const Arguments& arguments, const session::QuantizeJobOptions& options);
  void done(const quant::Report& report);
  /// `state`: "failed" or "stopped".
  void ended(const std::string& state, const std::string& error);

 private:
  void save();
  const Arguments& arguments_;
  std::filesystem::path database_;
  profile::QuantizationRun run_;
  bool given_up_ = false;
};

}  // namespace haq::cli
