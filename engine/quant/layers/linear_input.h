// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <vector>

#include "engine/quant/layers/input_statistics.h"
#include "engine/quant/layers/module_quantizer.h"

/// Linears that read the same rows, from their statistics to their int8 form.
namespace haq::quant {

struct LinearInput {
  std::vector<ModuleId> readers;  ///< linears that become int8
  const Group* group = nullptr;   ///< that smooths them; null: none
  InputStatistics statistics;
  Matrix source_sample;  ///< statistics.sample as the source's linears read it; may be empty
  SmoothingNote note;
};

bool wants_smoothing(const LayerWork& work, const Group& group);
const SmoothingOptions& smoothing_options(const LayerWork& work, const Group& group);
SmoothingNote note_of(const SmoothingChoice& choice);
/// A note that says why a group is left alone: not exact, or not asked for.
SmoothingNote note_without(const LayerWork& work, const Group* group);

/// Folds `scale` [factors] into the model and returns what the channels of the readers' input are
/// really divided by: norm weights are stored rounded, and the readers make good for it.
std::vector<float> fold_group(LayerWork& work, const Group& group, std::span<const float> scale);

/// Searches the smoothing of an input, folds it and divides the statistics. Inputs without a group
/// that is wanted and exact only get their note.
void smooth_input(LayerWork& work, LinearInput& input);

/// Quantizes the readers of all inputs. All smoothing has been folded before.
std::vector<ModuleResult> quantize_inputs(LayerWork& work, std::vector<LinearInput>& inputs);

}  // namespace haq::quant
