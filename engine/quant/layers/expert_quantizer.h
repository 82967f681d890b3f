// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <span>
#include <vector>

#include "engine/quant/layers/linear_input.h"

namespace haq::quant {

/// The rows of the state that one expert is calibrated with, ascending.
struct ExpertRows {
  std::vector<std::int64_t> routed;  ///< tokens that the router sent to it
  std::vector<std::int64_t> extra;   ///< of the share of all tokens that passes every expert
};

/// Sorts the tokens of a routing [tokens, top_k] by expert and adds the share, none twice. An
/// expert that would see nothing at all gets some rows whatever the share is.
std::vector<ExpertRows> rows_by_expert(std::span<const std::int32_t> ids, int experts, int top_k,
                                       double share, std::uint64_t seed);

/// The rows that stand for an expert's use: those routed to it, with the extra ones only where
/// those are few.
std::vector<std::int64_t> typical_rows(const ExpertRows& rows);
/// A seeded sample of them.
std::vector<std::int64_t> expert_sample(const ExpertRows& rows, int expert);

/// Rows of the state through a norm.
Matrix normed_rows(const LayerWork& work, const RowNorm& norm, std::span<const std::int64_t> rows);

struct ExpertResult {
  std::vector<ModuleResult> modules;
  std::vector<float> inner_scale;  ///< folded between up and down; empty: none
};

/// Calibrates and quantizes one expert on the calling thread: gate, up, down. The smoothing of the
/// layer's input is folded already (`input_note`); that between up and down is searched here and
/// applied, but left to the caller to fold into the model, which other threads read meanwhile.
ExpertResult quantize_expert(LayerWork& work, int expert, const ExpertRows& rows,
                             const RowNorm& norm, const SmoothingNote& input_note);

}  // namespace haq::quant
