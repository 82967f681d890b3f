// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/quantize_output.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/base/memory.h"

namespace haq::cli {

namespace {

constexpr std::size_t kWorstModules = 10;

std::string bytes(std::int64_t count) {
  return format_bytes(static_cast<std::uint64_t>(std::max<std::int64_t>(count, 0)));
}

std::string duration(double seconds) {
  if (seconds < 90) return fmt::format("{:.1f} s", seconds);
  if (seconds < 5400) return fmt::format("{:.0f} min", seconds / 60);
  return fmt::format("{:.1f} h", seconds / 3600);
}

std::string field(const char* name, const std::string& value) {
  return fmt::format("{:<12}{}\n", name, value);
}

/// "+0.12 %" for a ratio of 1.0012.
std::string change(double ratio) {
  return fmt::format("{:+.2f} %", 100 * (ratio - 1));
}

std::string interval(const std::optional<double>& low, const std::optional<double>& high,
                     std::string (*show)(double)) {
  return low && high ? fmt::format(" (95 %: {} to {})", show(*low), show(*high)) : std::string();
}

std::string nats(double value) {
  return fmt::format("{:.5f}", value);
}

std::string quality_text(const quant::QualityReport& quality) {
  std::string text = field(
      "perplexity", fmt::format("{:.4f} before, {:.4f} after: {}{}", quality.ppl_before,
                                quality.ppl_after, change(quality.ppl_ratio),
                                interval(quality.ppl_ratio_low, quality.ppl_ratio_high, change)));
  text += field("divergence", fmt::format("{} nats{}", nats(quality.kld_mean),
                                          interval(quality.kld_low, quality.kld_high, nats)));
  text += field("agreement",
                fmt::format("{:.2f} % of most probable ids", 100 * quality.top1_agreement));
  text += field("measured on", fmt::format("{}: {} tokens, context {}", quality.text,
                                           quality.tokens, quality.context));
  return text;
}

std::size_t token_count(const std::vector<std::vector<std::int32_t>>& sequences) {
  std::size_t count = 0;
  for (const auto& sequence : sequences) count += sequence.size();
  return count;
}

std::string smoothing(const quant::ModuleReport& module) {
  if (module.alpha) return fmt::format("alpha {:.2f}", *module.alpha);
  if (module.threshold) return fmt::format("threshold {:.2f}", *module.threshold);
  return module.smoothing;
}

std::string worst_modules(const std::vector<quant::ModuleReport>& modules) {
  std::vector<const quant::ModuleReport*> order;
  for (const quant::ModuleReport& module : modules) order.push_back(&module);
  std::stable_sort(order.begin(), order.end(),
                   [](const auto* a, const auto* b) { return a->error_final > b->error_final; });
  order.resize(std::min(order.size(), kWorstModules));
  if (order.empty()) return {};
  std::size_t width = 0;
  for (const auto* module : order) width = std::max(width, module->name.size());
  std::string text = fmt::format("\n{:<{}}  {:<16}{:>10}{:>10}{:>10}{:>9}\n", "worst modules",
                                 width, "smoothing", "rounding", "smoothed", "final", "SNR dB");
  for (const auto* module : order) {
    text += fmt::format("{:<{}}  {:<16}{:>10.2e}{:>10.2e}{:>10.2e}{:>9.1f}\n", module->name, width,
                        smoothing(*module), module->error_rtn, module->error_smooth,
                        module->error_final, module->snr_db);
  }
  return text;
}

std::string ablation_table(const std::vector<quant::AblationRow>& rows) {
  if (rows.empty()) return {};
  std::string text = fmt::format("\n{:<26}{:>12}{:>24}{:>12}{:>12}\n", "ablation", "perplexity",
                                 "95 %", "divergence", "agreement");
  for (const quant::AblationRow& row : rows) {
    const quant::QualityReport& quality = row.quality;
    std::string range;
    if (quality.ppl_ratio_low && quality.ppl_ratio_high) {
      range =
          fmt::format("{} to {}", change(*quality.ppl_ratio_low), change(*quality.ppl_ratio_high));
    }
    text +=
        fmt::format("{:<26}{:>12}{:>24}{:>12}{:>10.2f} %\n", row.name, change(quality.ppl_ratio),
                    range, nats(quality.kld_mean), 100 * quality.top1_agreement);
  }
  return text;
}

}  // namespace

nlohmann::ordered_json preflight_json(const quant::Preflight& needs) {
  return {{"disk",
           {{"weights", needs.disk_weights},
            {"spill", needs.disk_spill},
            {"total", needs.disk()},
            {"free", needs.disk_free}}},
          {"memory",
           {{"activations", needs.memory_activations},
            {"layer", needs.memory_layer},
            {"hessians", needs.memory_hessians},
            {"model", needs.memory_model},
            {"total", needs.memory()},
            {"available", needs.memory_available}}},
          {"seconds", needs.seconds}};
}

std::string preflight_text(const quant::Preflight& needs) {
  std::string text =
      field("disk", fmt::format("{}, {} are free", bytes(needs.disk()), bytes(needs.disk_free)));
  text += field("", fmt::format("{:<12}{}", "weights", bytes(needs.disk_weights)));
  text += field("", fmt::format("{:<12}{}", "spill", bytes(needs.disk_spill)));
  text += field("memory", fmt::format("{}, {} are available", bytes(needs.memory()),
                                      bytes(needs.memory_available)));
  text += field("", fmt::format("{:<12}{}", "activations", bytes(needs.memory_activations)));
  text += field("", fmt::format("{:<12}{}", "layer", bytes(needs.memory_layer)));
  text += field("", fmt::format("{:<12}{}", "Hessians", bytes(needs.memory_hessians)));
  text += field("", fmt::format("{:<12}{}", "ends", bytes(needs.memory_model)));
  text += field("time", fmt::format("about {}", duration(needs.seconds)));
  return text;
}

std::string preflight_line(const quant::Preflight& needs) {
  return fmt::format("needs {} of disk, {} of memory, about {}\n", bytes(needs.disk()),
                     bytes(needs.memory()), duration(needs.seconds));
}

std::string calibration_line(const quant::CalibrationData& data) {
  return fmt::format("calibration: {} tokens in {} sequences, {} tokens held out\n", data.tokens,
                     data.sequences.size(), token_count(data.held_out));
}

std::string trial_line(const quant::RotationTrial& trial) {
  return fmt::format("{:<24}divergence {}\n",
                     trial.rotated ? fmt::format("rotation, seed {}", trial.seed) : "no rotation",
                     nats(trial.kld));
}

std::string layer_line(const quant::LayerOutput& layer, int layers, double seconds, bool resumed) {
  double rounding = 0, final_error = 0;
  for (const quant::ModuleReport& module : layer.modules) {
    rounding += module.error_rtn;
    final_error += module.error_final;
  }
  const double count = std::max<double>(1, static_cast<double>(layer.modules.size()));
  return fmt::format("layer {:>3} of {}: {:>4} modules, mean error {:.2e} (rounding {:.2e}), {}\n",
                     layer.layer + 1, layers, layer.modules.size(), final_error / count,
                     rounding / count, resumed ? "finished before" : duration(seconds));
}

std::string ablation_line(const quant::AblationRow& row) {
  return fmt::format("ablation, {}: perplexity {}, divergence {}\n", row.name,
                     change(row.quality.ppl_ratio), nats(row.quality.kld_mean));
}

std::string report_text(const quant::Report& report) {
  std::string text = "\n";
  text += field("model", fmt::format("{} in {}", report.model_name, report.target));
  text += field("method", quant::to_string(report.method));
  text += field("rotation", report.rotated ? fmt::format("seed {}", report.rotation_seed)
                                           : fmt::format("none: {}", report.rotation_reason));
  text += field("calibration",
                fmt::format("{} tokens in {} sequences", report.calib_tokens, report.sequences));
  text += field("size", fmt::format("{} before, {} after", bytes(report.bytes_before),
                                    bytes(report.bytes_after)));
  text += field("time", fmt::format("{}, at most {} of memory", duration(report.seconds),
                                    format_bytes(report.peak_rss_bytes)));
  if (report.quality) text += quality_text(*report.quality);
  text += worst_modules(report.modules);
  text += ablation_table(report.ablation);
  if (!report.notices.empty()) text += "\n";
  for (const std::string& notice : report.notices) text += field("note", notice);
  return text;
}

}  // namespace haq::cli
