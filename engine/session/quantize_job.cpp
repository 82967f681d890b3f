// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/session/quantize_job.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "engine/base/error.h"
#include "engine/base/file.h"
#include "engine/session/quality.h"

namespace haq::session {

namespace {

namespace fs = std::filesystem;

/// Parts of a job by the time they take, relative to the run itself.
constexpr double kQualityWeight = 0.2, kAblationWeight = 0.7;

/// Maps the progress of parts that follow each other to one of the whole in thousandths.
class JobProgress {
 public:
  JobProgress(ProgressCallback callback, double total)
      : callback_(std::move(callback)), total_(total) {}
  /// The part that begins now.
  ProgressCallback next(double weight, std::string prefix = {}) {
    const double begin = done_;
    done_ += weight;
    if (!callback_) return {};
    return [this, begin, weight, prefix = std::move(prefix)](const Progress& p) {
      const double share =
          p.total > 0 ? static_cast<double>(p.done) / static_cast<double>(p.total) : 0;
      const double now = (begin + weight * std::clamp(share, 0.0, 1.0)) / total_;
      callback_({prefix + p.stage, static_cast<std::uint64_t>(1000 * now), 1000, ""});
    };
  }

 private:
  ProgressCallback callback_;
  double total_, done_ = 0;
};

/// One row of the ablation and the settings that make it.
struct Variant {
  const char* name;
  const char* folder;
  quant::Method method;
  quant::RotateMode rotate;
  bool solve;
};

constexpr Variant kVariants[] = {
    {"rtn", "rtn", quant::Method::kRtn, quant::RotateMode::kOff, true},
    {"+ smoothing", "smoothing", quant::Method::kHaq, quant::RotateMode::kOff, false},
    {"+ Hessian-aware weights", "hessian", quant::Method::kHaq, quant::RotateMode::kOff, true},
    {"+ rotation", "rotation", quant::Method::kHaq, quant::RotateMode::kAuto, true},
    {"smoothquant", "smoothquant", quant::Method::kSmoothQuant, quant::RotateMode::kOff, true},
    {"gptq", "gptq", quant::Method::kGptq, quant::RotateMode::kOff, true},
};

/// Whether the run itself is this row.
bool is_variant(const Variant& variant, const quant::Report& report) {
  return variant.method == report.method &&
         (report.method != quant::Method::kHaq ||
          (variant.solve && report.rotated == (variant.rotate != quant::RotateMode::kOff)));
}

/// A folder beside the target for models that are only measured. What it holds is removed at the
/// end, and what a killed job left there is overwritten by the next one.
class ScratchFolder {
 public:
  explicit ScratchFolder(const fs::path& target) {
    const fs::path whole = fs::absolute(target).lexically_normal();
    const fs::path named = whole.has_filename() ? whole : whole.parent_path();
    path_ = named.parent_path() / fmt::format(".{}.ablation", named.filename().string());
  }
  ~ScratchFolder() {
    for (const Variant& variant : kVariants) remove(variant);
    std::error_code ignored;
    fs::remove(path_, ignored);  // only when nothing of somebody else's is in it
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

  fs::path of(const Variant& variant) const { return path_ / variant.folder; }
  void remove(const Variant& variant) const {
    std::error_code ignored;
    fs::remove_all(of(variant), ignored);
  }

 private:
  fs::path path_;
};

class Job {
 public:
  Job(const QuantizeJobOptions& options, const QuantizeJobEvents& events, const CancelToken& cancel,
      const quant::PauseToken& pause)
      : options_(options),
        events_(events),
        cancel_(cancel),
        pause_(pause),
        progress_(events.run.progress, total_weight()) {
    if (options.ablate && !options.measure_quality) {
      throw Error(ErrorCode::kInvalidArgument,
                  "an ablation compares quality, which is switched off",
                  "measure quality, or leave the ablation out");
    }
    // What would fail after the run is refused before it.
    for (const fs::path* file : {&options.report_json, &options.report_csv}) {
      if (file->empty()) continue;
      const fs::path folder = fs::absolute(*file).parent_path();
      std::error_code ignored;
      if (!fs::is_directory(folder, ignored)) {
        fail(ErrorCode::kNotFound, "{}: the folder for {} does not exist", folder.string(),
             file->filename().string());
      }
    }
    if (options.measure_quality) {
      meter_.emplace(
          options.quantize.source.empty() ? model::demo_model_dir() : options.quantize.source,
          options);
    }
  }

  quant::Report run() {
    quant::QuantizeEvents events = events_.run;
    events.progress = progress_.next(1);
    quant::QuantizeResult result = quant::quantize(options_.quantize, events, cancel_, pause_);
    report_ = std::move(result.report);
    write_files();
    if (meter_) {
      meter_->use_sequences(std::move(result.held_out));
      // A resumed job may find the model finished and measured.
      const bool measured = report_.quality.has_value() || measure();
      if (measured && options_.ablate && report_.ablation.empty()) ablate();
    }
    return std::move(report_);
  }

 private:
  double total_weight() const {
    double total = 1;
    if (options_.measure_quality) total += kQualityWeight;
    if (options_.ablate) {
      total += static_cast<double>(std::size(kVariants)) * (kAblationWeight + kQualityWeight);
    }
    return total;
  }

  /// False when the models do not fit in memory.
  bool measure() {
    try {
      report_.quality =
          meter_->measure(report_.target, progress_.next(kQualityWeight, "quality: "), cancel_);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kOutOfMemory) throw;
      report_.notices.push_back(fmt::format("The quality was not measured: {}.", error.what()));
      write_files();
      return false;
    }
    if (events_.quality) events_.quality(*report_.quality);
    write_files();
    return true;
  }

  void ablate() {
    const ScratchFolder scratch(report_.target);
    for (const Variant& variant : kVariants) {
      quant::AblationRow row;
      if (is_variant(variant, report_)) {
        row = {variant.name, *report_.quality, report_.seconds};
        progress_.next(kAblationWeight + kQualityWeight);
      } else if (auto measured = run_variant(variant, scratch)) {
        row = std::move(*measured);
      } else {
        continue;
      }
      if (events_.ablation) events_.ablation(row);
      report_.ablation.push_back(std::move(row));
    }
    write_files();
  }

  std::optional<quant::AblationRow> run_variant(const Variant& variant,
                                                const ScratchFolder& scratch) {
    quant::QuantizeOptions options = options_.quantize;
    options.target = scratch.of(variant);
    options.method = variant.method;
    options.rotate = variant.rotate;
    options.solve = variant.solve;
    options.resume = quant::ResumeMode::kRestart;
    const ProgressCallback quantizing =
        progress_.next(kAblationWeight, fmt::format("ablation, {}: ", variant.name));
    const ProgressCallback measuring =
        progress_.next(kQualityWeight, fmt::format("ablation, {}: quality: ", variant.name));
    if (variant.rotate != quant::RotateMode::kOff) {
      const std::optional<std::string> obstacle = no_rotation();
      if (obstacle) {
        report_.notices.push_back(
            fmt::format("The ablation has no row \"{}\": {}.", variant.name, *obstacle));
        return std::nullopt;
      }
      options.rotate = options_.quantize.rotate;
    }
    quant::QuantizeEvents events;
    events.progress = quantizing;
    const quant::Report made = quant::quantize(options, events, cancel_, pause_).report;
    quant::AblationRow row{variant.name, meter_->measure(options.target, measuring, cancel_),
                           made.seconds};
    scratch.remove(variant);
    return row;
  }

  /// Why this job's runs are not rotated, if that is known.
  std::optional<std::string> no_rotation() const {
    if (options_.quantize.rotate == quant::RotateMode::kOff) return "rotation is switched off";
    if (report_.method == quant::Method::kHaq && !report_.rotated) return report_.rotation_reason;
    return std::nullopt;
  }

  void write_files() const {
    const fs::path target = report_.target;
    const std::string json = quant::to_json(report_).dump(1) + "\n";
    write_file_atomically(target / quant::kReportFile, json);
    write_file_atomically(target / "README.md", quant::model_card(report_));
    if (!options_.report_json.empty()) write_file_atomically(options_.report_json, json);
    if (!options_.report_csv.empty()) {
      write_file_atomically(options_.report_csv, quant::to_csv(report_));
    }
  }

  const QuantizeJobOptions& options_;
  const QuantizeJobEvents& events_;
  const CancelToken& cancel_;
  const quant::PauseToken& pause_;
  JobProgress progress_;
  std::optional<QualityMeter> meter_;
  quant::Report report_;
};

}  // namespace

quant::Report run_quantize_job(const QuantizeJobOptions& options, const QuantizeJobEvents& events,
                               const CancelToken& cancel, const quant::PauseToken& pause) {
  return Job(options, events, cancel, pause).run();
}

}  // namespace haq::session
