// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <filesystem>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "engine/quant/quantizer.h"
#include "engine/session/evaluate.h"

namespace haq::session {

/// A quantization as a user orders it: the run, then its quality, then the files about it.
struct QuantizeJobOptions {
  quant::QuantizeOptions quantize;
  /// Text to measure perplexity, KL divergence and agreement on; empty: the held-out calibration
  /// sequences.
  std::filesystem::path eval_text;
  std::int64_t eval_context = 0;  ///< ids per window; 0: min(2048, the model's maximum)
  std::int64_t eval_tokens = 0;   ///< first N ids of eval_text; 0: all
  bool measure_quality = true;    ///< skipped with a notice when both models do not fit in memory
  bool ablate = false;  ///< also rtn, each part alone added in turn, into a scratch folder
  std::filesystem::path report_json, report_csv;  ///< besides those in the folder; empty: none
};

struct QuantizeJobEvents {
  quant::QuantizeEvents run;
  std::function<void(const quant::QualityReport&)> quality;
  std::function<void(const quant::AblationRow&)> ablation;
};

/// Runs the job. In the target: the model, quantization-report.json, README.md (model card). Throws
/// what quant::quantize and evaluate throw.
quant::Report run_quantize_job(const QuantizeJobOptions& options,
                               const QuantizeJobEvents& events = {}, const CancelToken& cancel = {},
                               const quant::PauseToken& pause = {});

/// The `haq quantize` line that does the same, quoted for a shell.
std::string quantize_command_line(const QuantizeJobOptions& options);

/// What was ordered, to be kept beside a run and ordered again: source ("": the demo model),
/// target, method, rotate, rotation_seeds, experts_only, calibration, tokens, sequence_length,
/// seed, measure_quality, eval_text, eval_context, eval_tokens, ablate. Files by absolute paths.
nlohmann::ordered_json quantize_options_json(const QuantizeJobOptions& options);

/// Perplexity of both models on a text and their distance. `sequences` empty: `text` is read.
quant::QualityReport measure_quality(const std::filesystem::path& base,
                                     const std::filesystem::path& quantized,
                                     const std::filesystem::path& text,
                                     const std::vector<std::vector<std::int32_t>>& sequences,
                                     const QuantizeJobOptions& options,
                                     const ProgressCallback& progress = {},
                                     const CancelToken& cancel = {});

}  // namespace haq::session
