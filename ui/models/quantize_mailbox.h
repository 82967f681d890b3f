// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "engine/session/quantize_job.h"

namespace haq::ui {

/// What is said about calibration text; the sequences themselves stay with the run.
struct CalibrationFacts {
  std::int64_t tokens = 0, availableTokens = 0, sequences = 0, heldOut = 0;
  double bytesPerToken = 0, unknownShare = 0, byteFallbackShare = 0;
  std::vector<std::string> notices;

  static CalibrationFacts of(const quant::CalibrationData& data) {
    return {.tokens = data.tokens,
            .availableTokens = data.available_tokens,
            .sequences = static_cast<std::int64_t>(data.sequences.size()),
            .heldOut = static_cast<std::int64_t>(data.held_out.size()),
            .bytesPerToken = data.bytes_per_token,
            .unknownShare = data.unknown_share,
            .byteFallbackShare = data.byte_fallback_share,
            .notices = data.notices};
  }
};

/// What a running quantization has to say between two looks of the GUI thread: progress overwrites
/// itself, reports gather. Thread-safe.
class QuantizeMailbox {
 public:
  struct Content {
    std::optional<Progress> progress;
    std::optional<quant::Preflight> preflight;
    std::optional<CalibrationFacts> calibration;
    std::vector<quant::RotationTrial> trials;
    std::vector<quant::ModuleReport> modules;
    std::vector<quant::ExpertReport> experts;
    std::vector<std::pair<int, bool>> layersDone;     ///< layer, found finished by a resume
    std::optional<std::pair<int, int>> layerStarted;  ///< layer, layers
    std::optional<quant::QualityReport> quality;
    std::vector<quant::AblationRow> ablation;
  };

  /// Changes the content under the lock.
  template <typename Change>
  void put(Change&& change) {
    const std::lock_guard lock(m_mutex);
    change(m_content);
  }
  Content take() {
    const std::lock_guard lock(m_mutex);
    return std::exchange(m_content, Content{});
  }

 private:
  std::mutex m_mutex;
  Content m_content;
};

}  // namespace haq::ui
