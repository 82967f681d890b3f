// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "engine/session/quantize_job.h"
#include "ui/models/quantize_mailbox.h"

namespace haq::ui {

/// The engine's doors that the Quantize page goes through, each long or reading the disk: to be
/// called on a thread of their own. They throw haq::Error.
struct QuantizeServices {
  /// Needs of a run, and whether they are met (throws with the numbers when not).
  std::function<quant::Preflight(const session::QuantizeJobOptions&)> estimate;
  std::function<void(const quant::Preflight&, const session::QuantizeJobOptions&)> check;
  /// Reads and counts the calibration files with the source's tokenizer.
  std::function<CalibrationFacts(const session::QuantizeJobOptions&, const CancelToken&)> readText;
  std::function<quant::WorkFolder::Status(const std::filesystem::path&)> inspect;
  std::function<quant::Report(const session::QuantizeJobOptions&, const session::QuantizeJobEvents&,
                              const CancelToken&, const quant::PauseToken&)>
      run;
  std::function<std::string(const session::QuantizeJobOptions&)> commandLine;

  static QuantizeServices engine();
};

}  // namespace haq::ui
