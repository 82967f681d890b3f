// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QJsonObject>
#include <QString>
#include <QStringList>

#include "engine/session/quantize_job.h"

namespace haq::ui {

/// What the wizard's pages decide, one value per decision: an order for a quantization. A value
/// type that outlives the program as JSON, both as the draft in the settings and beside each stored
/// run, so that a run can be ordered again.
struct QuantizeOrder {
  QString source;  ///< folder; empty: the demo model
  QString sourceName;
  QString target;
  quant::Method method = quant::Method::kHaq;
  quant::RotateMode rotate = quant::RotateMode::kAuto;
  int rotationSeeds = 3;  ///< 1..16
  bool expertsOnly = false;
  QStringList calibration;
  int tokens = 65536;        ///< 256..16777216
  int sequenceLength = 512;  ///< 16..131072
  int seed = 0;
  bool measureQuality = true;
  QString evalText;     ///< empty: the held-out calibration sequences
  int evalContext = 0;  ///< ids per window; 0: the model's, at most 2048
  int evalTokens = 0;   ///< 0: all
  bool ablate = false;

  friend bool operator==(const QuantizeOrder&, const QuantizeOrder&) = default;
};

QJsonObject toJson(const QuantizeOrder& order);
/// Reads what a settings file or a database holds (untrusted): a field that is missing, of another
/// type or out of range gets its default.
QuantizeOrder orderFromJson(const QJsonObject& json);

/// The engine's form of an order. `threads` 0: one per physical core.
session::QuantizeJobOptions jobOptions(const QuantizeOrder& order, int threads,
                                       quant::ResumeMode resume = quant::ResumeMode::kFresh);

/// A folder that does not exist yet: "NAME-W8A8-haq" in `parent`, with a number if that is taken.
QString suggestedTarget(const QString& parent, const QString& sourceName, quant::Method method);

/// Name of a method for people ("HAQ", "GPTQ", "SmoothQuant", "Rounding") and what it does in one
/// sentence.
QString methodTitle(quant::Method method);
QString methodSentence(quant::Method method);

}  // namespace haq::ui
