// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/quant/layers/layer_work.h"

namespace haq::quant {

/// How the input of a module was smoothed, for its report.
struct SmoothingNote {
  SmoothingKind kind = SmoothingKind::kNone;
  double alpha = 0, threshold = 0;
  std::string reason;  ///< why none, when the group cannot be smoothed
};

/// A linear that is to be quantized. Everything is borrowed.
struct ModuleTask {
  ModuleId id;
  ConstMatrixView weights;  ///< transformed and smoothed, [out, in]
  std::span<const float> bias;
  const FactoredHessian* hessian = nullptr;  ///< of its input; null: plain rounding
  ConstMatrixView sample;                    ///< rows of its input
  ConstMatrixView source_sample;             ///< the same rows as the source's linear reads them
  std::int64_t tokens = 0;                   ///< rows behind the statistics
  SmoothingNote smoothing;
};

struct ModuleResult {
  ModuleReport report;
  std::vector<OutputTensor> tensors;  ///< weight, scale, bias
};

/// Quantizes one module on the calling thread.
ModuleResult quantize_module(LayerWork& work, const ModuleTask& task);
/// Quantizes several in parallel, large ones by blocks of rows. The same results.
std::vector<ModuleResult> quantize_modules(LayerWork& work, std::span<const ModuleTask> tasks);

/// The tensors of a module that stays in 16 bits: weight and bias, or a vector and its bias.
std::vector<OutputTensor> plain_tensors(const TransformedCheckpoint& model, const ModuleId& id);

}  // namespace haq::quant
