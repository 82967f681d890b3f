// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "engine/model/checkpoint.h"

namespace haq::quant {

enum class Method { kHaq, kGptq, kSmoothQuant, kRtn };
const char* to_string(Method method);  ///< "haq", "gptq", "smoothquant", "rtn"
/// Throws kInvalidArgument naming the accepted words.
Method parse_method(const std::string& name);

enum class RotateMode { kAuto, kOn, kOff };
const char* to_string(RotateMode mode);  ///< "auto", "on", "off"

/// An expert that calibration gave less than this share of an even split over its layer is hardly
/// seen: its statistics say little.
inline constexpr double kHardlySeenShare = 0.1;

/// What was done to one linear layer and what it cost. Errors are relative output errors
/// ‖y - ŷ‖² / ‖y‖² over a sample of calibration rows, with weights and activations quantized.
struct ModuleReport {
  std::string name;  ///< as in the written folder
  model::Role role{};
  int layer = -1, expert = -1;
  std::string smoothing = "none";  ///< "alpha", "threshold", "none"
  std::optional<double> alpha, threshold;
  std::string smoothing_reason;  ///< why none, when the group cannot be smoothed
  double error_rtn = 0;          ///< plain rounding of the source's weights and activations
  double error_smooth = 0;       ///< plain rounding after rotation and smoothing
  double error_final = 0;
  double snr_db = 0;   ///< of the final layer
  double clip = 1;     ///< mean scale / unclipped scale
  double damping = 0;  ///< 0: not solved
  int dead_channels = 0;
  std::int64_t rows_kept_rounded = 0;  ///< rows where plain rounding was better and kept
  std::int64_t tokens = 0;             ///< rows its Hessian saw
  double seconds = 0;
};

struct ExpertReport {
  int layer = 0, expert = 0;
  std::int64_t tokens = 0;  ///< calibration tokens routed to it
};

/// One candidate of the search for a rotation.
struct RotationTrial {
  bool rotated = false;
  std::uint64_t seed = 0;
  double kld = 0;  ///< mean KL divergence of a quick quantization, on calibration tokens
};

/// Quality of the whole model before and after, on text that calibration did not use.
struct QualityReport {
  std::string text;    ///< file, or "held-out calibration sequences"
  std::string recipe;  ///< one sentence that lets somebody else repeat it
  std::int64_t tokens = 0, context = 0;
  double ppl_before = 0, ppl_after = 0;
  double ppl_ratio = 1;
  std::optional<double> ppl_ratio_low, ppl_ratio_high;  ///< paired 95 % interval
  double kld_mean = 0;
  std::optional<double> kld_low, kld_high;
  double top1_agreement = 0;
};

/// One method of an ablation.
struct AblationRow {
  std::string name;  ///< "rtn", "+ smoothing", ...
  QualityReport quality;
  double seconds = 0;
};

struct Report {
  static constexpr int kSchema = 1;
  std::string program_version;
  std::string started_utc;  ///< ISO 8601
  std::string source, target, model_name, architecture;
  std::string base_fingerprint, run_fingerprint;
  Method method = Method::kHaq;
  RotateMode rotate = RotateMode::kAuto;
  bool experts_only = false;
  std::uint64_t seed = 0;
  std::vector<std::string> calibration;  ///< files
  std::int64_t calib_tokens = 0, sequence_length = 0, sequences = 0;
  double all_expert_share = 0;
  bool rotated = false;
  std::uint64_t rotation_seed = 0;
  std::string rotation_reason;             ///< why not rotated, in words
  std::optional<double> router_agreement;  ///< share of equal top-k sets after the transformations
  std::vector<RotationTrial> rotation_trials;
  std::vector<ModuleReport> modules;
  std::vector<ExpertReport> experts;
  std::optional<QualityReport> quality;
  std::vector<AblationRow> ablation;
  std::int64_t bytes_before = 0, bytes_after = 0;
  double seconds = 0;
  std::uint64_t peak_rss_bytes = 0;
  int threads = 0;
  std::string isa;
  std::vector<std::string> notices;  ///< warnings in sentences
};

nlohmann::ordered_json to_json(const Report& report);
/// Reads a report of this or an older schema (untrusted). Throws kCorrupt naming `file` and field,
/// kConflict for a newer schema.
Report report_from_json(const nlohmann::json& json, const std::string& file);
/// One line per module with a header line, fields as in the JSON; RFC 4180.
std::string to_csv(const Report& report);
/// README.md of the written folder: Hugging Face front matter, how it was made, the figures.
std::string model_card(const Report& report);

}  // namespace haq::quant
