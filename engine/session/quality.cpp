// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/session/quality.h"

#include <algorithm>

#include "engine/base/error.h"
#include "engine/base/file.h"
#include "engine/session/evaluate.h"
#include "engine/text/unicode.h"

namespace haq::session {

namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxTextBytes = std::size_t{256} << 20;
constexpr const char* kHeldOut = "held-out calibration sequences";

std::string read_text(const fs::path& file) {
  std::string text = read_text_file(file, kMaxTextBytes);
  if (!text::is_valid_utf8(text)) {
    throw Error(ErrorCode::kCorrupt, fmt::format("{}: not valid UTF-8", file.string()),
                "convert the file to UTF-8");
  }
  return text;
}

/// A part of a progress in thousandths.
ProgressCallback part(const ProgressCallback& progress, double begin, double end) {
  if (!progress) return {};
  return [=](const Progress& p) {
    const double share =
        p.total > 0 ? static_cast<double>(p.done) / static_cast<double>(p.total) : 0;
    const double now = begin + (end - begin) * std::clamp(share, 0.0, 1.0);
    progress({p.stage, static_cast<std::uint64_t>(1000 * now), 1000, ""});
  };
}

quant::QualityReport report_of(const EvaluateResult& result, const fs::path& text) {
  const Comparison& comparison = result.comparison.value();
  quant::QualityReport report;
  report.text = text.empty() ? kHeldOut : text.string();
  report.recipe = result.recipe;
  report.tokens = result.tokens;
  report.context = result.context;
  report.ppl_before = comparison.base_perplexity;
  report.ppl_after = result.perplexity;
  report.ppl_ratio = comparison.ppl_ratio;
  if (comparison.ppl_ratio_ci95) {
    report.ppl_ratio_low = comparison.ppl_ratio_ci95->low;
    report.ppl_ratio_high = comparison.ppl_ratio_ci95->high;
  }
  report.kld_mean = comparison.kld_mean;
  if (comparison.kld_ci95) {
    report.kld_low = comparison.kld_ci95->low;
    report.kld_high = comparison.kld_ci95->high;
  }
  report.top1_agreement = comparison.top1_agreement;
  return report;
}

}  // namespace

QualityMeter::QualityMeter(fs::path base, const QuantizeJobOptions& options)
    : base_folder_(std::move(base)),
      text_(options.eval_text),
      context_(options.eval_context),
      tokens_(options.eval_tokens),
      threads_(options.quantize.threads) {
  if (text_.empty()) return;
  const std::int64_t most = model::Checkpoint::open(base_folder_)->config().max_positions;
  if (context_ != 0 && (context_ < 2 || context_ > most)) {
    fail(ErrorCode::kInvalidArgument, "the context to measure with is {}, expected 2 to {}",
         context_, most);
  }
  text::Tokenizer::EncodeOptions plain;
  plain.add_special = false;
  ids_ = text::Tokenizer::load(base_folder_)->encode(read_text(text_), plain);
  if (ids_.size() < 2) {
    fail(ErrorCode::kInvalidArgument, "{}: too short to measure on ({} tokens)", text_.string(),
         ids_.size());
  }
}

LoadOptions QualityMeter::load_options(const fs::path& folder) const {
  LoadOptions options;
  options.folder = folder;
  options.threads = threads_;
  return options;
}

std::int64_t QualityMeter::context_of(const model::Checkpoint& checkpoint) const {
  const std::int64_t most = checkpoint.config().max_positions;
  return context_ > 0 ? std::min(context_, most) : std::min<std::int64_t>(2048, most);
}

void QualityMeter::check_memory_for(const fs::path& quantized) const {
  const auto need = [&](const fs::path& folder) {
    const auto checkpoint = model::Checkpoint::open(folder);
    const LoadOptions options = load_options(folder);
    return static_cast<std::uint64_t>(
        checkpoint->memory(context_of(*checkpoint), false, options.prefill_chunk).total());
  };
  const std::uint64_t of_base = base_ ? 0 : need(base_folder_);
  const std::uint64_t of_model = need(quantized);
  const std::uint64_t available = available_memory();
  if (available == 0 || of_base + of_model <= available) return;
  throw Error(ErrorCode::kOutOfMemory,
              fmt::format("the source needs {} of memory and the quantized model {}, {} are "
                          "available",
                          format_bytes(of_base), format_bytes(of_model), format_bytes(available)),
              "measure with 'haq eval' on a machine with more memory");
}

void QualityMeter::load_base(const ProgressCallback& progress, const CancelToken& cancel) {
  if (base_) return;
  base_ = Model::load(load_options(base_folder_), progress, cancel);
}

quant::QualityReport QualityMeter::measure(const fs::path& quantized,
                                           const ProgressCallback& progress,
                                           const CancelToken& cancel) {
  check_memory_for(quantized);
  load_base(part(progress, 0, 0.05), cancel);
  const auto model = Model::load(load_options(quantized), part(progress, 0.05, 0.1), cancel);
  const ProgressCallback measuring = part(progress, 0.1, 1);
  EvaluateResult result;
  if (text_.empty()) {
    result = evaluate_sequences(*model, base_.get(), sequences_, measuring, cancel);
  } else {
    EvaluateOptions options;
    options.context = context_;
    options.max_tokens = tokens_;
    result = evaluate(*model, base_.get(), ids_, options, measuring, cancel);
  }
  // Figures of a part would not be comparable with those of other runs.
  if (result.cancelled) cancel.check();
  return report_of(result, text_);
}

quant::QualityReport measure_quality(const fs::path& base, const fs::path& quantized,
                                     const fs::path& text,
                                     const std::vector<std::vector<std::int32_t>>& sequences,
                                     const QuantizeJobOptions& options,
                                     const ProgressCallback& progress, const CancelToken& cancel) {
  QuantizeJobOptions with_text = options;
  with_text.eval_text = text;
  QualityMeter meter(base, with_text);
  meter.use_sequences(sequences);
  return meter.measure(quantized, progress, cancel);
}

}  // namespace haq::session
