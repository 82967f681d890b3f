// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <optional>
#include <string>

#include "ui/models/engine_controller.h"

namespace haq::ui {

/// What a conversation sets itself; everything else is the user's or the model's default.
struct ChatOptions {
  std::optional<float> temperature, topP, minP, repetitionPenalty;
  std::optional<int> topK;
  std::optional<quint64> seed;  ///< none: a fresh one for each answer, stored with it
  std::optional<int> maxTokens;

  /// Values outside their range, or of another type, are left out (the store is untrusted).
  static ChatOptions fromJson(const std::string& json);
  std::string toJson() const;
  void applyTo(session::SamplingOptions& sampling) const;
  bool operator==(const ChatOptions&) const = default;
};

/// The sampling that an answer was written with, as its metrics store it; `maxTokens` only when it
/// is there. None when the metrics have no complete sampling.
std::optional<session::SamplingOptions> storedSampling(const std::string& metrics,
                                                       std::optional<int>& maxTokens);

/// Metrics of an answer, as profile::Message describes them.
nlohmann::ordered_json metricsOf(const GenerationSummary& summary);

}  // namespace haq::ui
