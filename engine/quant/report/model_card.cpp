// SPDX-License-Identifier: GPL-3.0-or-later
// README.md of a written folder, for people who get the model without this program.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <functional>
#include <limits>
#include <string_view>

#include "engine/quant/report/report.h"

namespace haq::quant {
namespace {

/// Fewer routed tokens than this give a poor picture of what an expert sees.
constexpr std::int64_t kFewTokens = 128;
constexpr std::size_t kWorstModules = 5;
constexpr std::size_t kNamedExperts = 12;

/// Text from outside inside a Markdown line: no control characters, no markup, no table bars.
std::string plain(const std::string& text) {
  std::string result;
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      result += ' ';
      continue;
    }
    if (std::string_view("\\`*_[]<>|#").find(c) != std::string_view::npos) result += '\\';
    result += c;
  }
  return result;
}

/// Inside backticks nothing can be escaped, so backticks go, and bars that would end a table cell.
std::string code(const std::string& text) {
  std::string result = "`";
  for (const char c : text) {
    const bool bad = static_cast<unsigned char>(c) < 0x20 || c == 0x7f || c == '`' || c == '|';
    result += bad ? ' ' : c;
  }
  return result + "`";
}

std::string size_text(std::int64_t bytes) {
  constexpr std::array<const char*, 4> kUnits = {"B", "KiB", "MiB", "GiB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  for (; value >= 1024 && unit + 1 < kUnits.size(); ++unit) value /= 1024;
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, kUnits[unit]);
}

std::string duration_text(double seconds) {
  if (seconds < 120) return fmt::format("{:.0f} s", seconds);
  if (seconds < 7200) return fmt::format("{:.0f} min", seconds / 60);
  return fmt::format("{:.1f} h", seconds / 3600);
}

std::string interval(const std::optional<double>& low, const std::optional<double>& high,
                     const std::function<std::string(double)>& show) {
  return low && high ? fmt::format(" (95 % interval {} to {})", show(*low), show(*high))
                     : std::string();
}

const char* describe(Method method) {
  switch (method) {
    case Method::kHaq:
      return "adaptive smoothing of activations and Hessian-aware rounding of weights (the method "
             "that arXiv 2508.07329 describes, with an optional rotation of the residual stream)";
    case Method::kGptq:
      return "Hessian-aware rounding of weights without smoothing (GPTQ, arXiv 2210.17323)";
    case Method::kSmoothQuant:
      return "smoothing with one fixed exponent, then plain rounding (SmoothQuant, arXiv "
             "2211.10438)";
    case Method::kRtn:
      break;
  }
  return "plain rounding to the nearest value";
}

std::string front_matter() {
  return "---\n"
         "library_name: transformers\n"
         "pipeline_tag: text-generation\n"
         "tags:\n- int8\n- w8a8\n- compressed-tensors\n- quantized\n"
         "---\n\n";
}

std::string making(const Report& report) {
  std::string text = "## How it was made\n\n";
  text +=
      fmt::format("- Method: {}: {}.\n", code(to_string(report.method)), describe(report.method));
  if (report.method == Method::kHaq) {
    text += report.rotated ? fmt::format("- Rotation of the residual stream: yes (seed {}).\n",
                                         report.rotation_seed)
                           : fmt::format("- Rotation of the residual stream: no{}.\n",
                                         report.rotation_reason.empty()
                                             ? std::string()
                                             : ", " + plain(report.rotation_reason));
  }
  if (report.experts_only) text += "- Only the experts are quantized; the rest is 16-bit.\n";
  std::string files;
  for (const std::string& file : report.calibration) {
    // Only the name: where the file lay is nobody's business.
    files += (files.empty() ? "" : ", ") + code(std::filesystem::path(file).filename().string());
  }
  text += fmt::format("- Calibration: {} tokens ({} sequences of up to {}){}{}, seed {}.\n",
                      report.calib_tokens, report.sequences, report.sequence_length,
                      files.empty() ? "" : " from ", files, report.seed);
  if (report.bytes_before > 0) {
    text += fmt::format(
        "- Weights: {} before, {} after ({:.2f} of it).\n", size_text(report.bytes_before),
        size_text(report.bytes_after),
        static_cast<double>(report.bytes_after) / static_cast<double>(report.bytes_before));
  }
  if (report.router_agreement) {
    text += fmt::format("- Router choices equal to the source's: {:.2f} %.\n",
                        100 * *report.router_agreement);
  }
  text +=
      fmt::format("- Time: {} with {} threads.\n", duration_text(report.seconds), report.threads);
  text += fmt::format("- Fingerprint of the 16-bit source: {}.\n", code(report.base_fingerprint));
  text += "\nEvery layer's figures are in `quantization-report.json`.\n\n";
  return text;
}

std::string quality_of(const Report& report) {
  std::string text = "## Quality\n\n";
  if (!report.quality) return text + "Not measured.\n\n";
  const QualityReport& quality = *report.quality;
  const auto percent = [](double ratio) { return fmt::format("{:+.2f} %", 100 * (ratio - 1)); };
  const auto small = [](double value) { return fmt::format("{:.3g}", value); };
  text += "| | 16-bit source | this model |\n|---|---|---|\n";
  text += fmt::format("| Perplexity | {:.4f} | {:.4f} |\n", quality.ppl_before, quality.ppl_after);
  text += fmt::format("| Change of perplexity | | {}{} |\n", percent(quality.ppl_ratio),
                      interval(quality.ppl_ratio_low, quality.ppl_ratio_high, percent));
  text += fmt::format("| Mean KL divergence (nats) | | {}{} |\n", small(quality.kld_mean),
                      interval(quality.kld_low, quality.kld_high, small));
  text += fmt::format("| Same most likely token | | {:.2f} % |\n\n", 100 * quality.top1_agreement);
  text +=
      fmt::format("Measured on {} ({} tokens).",
                  code(std::filesystem::path(quality.text).filename().string()), quality.tokens);
  if (!quality.recipe.empty()) text += fmt::format(" {}", plain(quality.recipe));
  return text + "\n\n";
}

std::string worst_modules(const Report& report) {
  std::vector<const ModuleReport*> order;
  for (const ModuleReport& module : report.modules) order.push_back(&module);
  const std::size_t shown = std::min(kWorstModules, order.size());
  if (shown == 0) return {};
  // A figure that is not a number comes first: nothing is worse. Equal ones in order of name.
  const auto key = [](const ModuleReport* module) {
    const double error = module->error_final;
    return std::pair(std::isfinite(error) ? -error : -std::numeric_limits<double>::infinity(),
                     module->name);
  };
  std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(shown), order.end(),
                    [&](const ModuleReport* a, const ModuleReport* b) { return key(a) < key(b); });
  std::string text =
      "## Where the loss is\n\n"
      "The layers with the largest relative output error (weights and activations quantized):\n\n"
      "| layer | plain rounding | this model | signal to noise |\n|---|---|---|---|\n";
  for (std::size_t i = 0; i < shown; ++i) {
    text += fmt::format("| {} | {:.3g} | {:.3g} | {:.1f} dB |\n", code(order[i]->name),
                        order[i]->error_rtn, order[i]->error_final, order[i]->snr_db);
  }
  return text + "\n";
}

std::string experts_of(const Report& report) {
  if (report.experts.empty()) return {};
  std::vector<const ExpertReport*> few;
  std::int64_t least = report.experts.front().tokens;
  std::int64_t sum = 0;
  for (const ExpertReport& expert : report.experts) {
    least = std::min(least, expert.tokens);
    sum += expert.tokens;
    if (expert.tokens < kFewTokens) few.push_back(&expert);
  }
  std::string text = "## Experts\n\n";
  text += fmt::format(
      "Calibration tokens routed to an expert: {} at least, {} on average. A share of {:.3g} of "
      "all "
      "tokens also went through every expert.\n\n",
      least, sum / static_cast<std::int64_t>(report.experts.size()), report.all_expert_share);
  if (few.empty()) return text;
  text += fmt::format(
      "**{} of {} experts saw fewer than {} tokens**, so their rounding rests on "
      "little: ",
      few.size(), report.experts.size(), kFewTokens);
  for (std::size_t i = 0; i < std::min(few.size(), kNamedExperts); ++i) {
    text += fmt::format("{}layer {} expert {} ({})", i == 0 ? "" : ", ", few[i]->layer,
                        few[i]->expert, few[i]->tokens);
  }
  text += few.size() > kNamedExperts ? fmt::format(" and {} more.\n\n", few.size() - kNamedExperts)
                                     : std::string(".\n\n");
  return text;
}

std::string running(const Report& report) {
  std::string text =
      "## Running it\n\n"
      "In this folder:\n\n"
      "```sh\n"
      "haq chat .             # HAQ Studio, on a CPU or with experts on a GPU\n"
      "vllm serve .           # vLLM\n"
      "```\n\n"
      "vLLM runs INT8 W8A8 on NVIDIA GPUs of compute capability 7.5 to 9.x (Turing to Hopper). It "
      "does not on Blackwell (10.0 and above), where its documentation says to use FP8. In Python, "
      "`transformers` with `compressed-tensors` loads the folder and computes with the weights "
      "widened to 16 bits.\n\n";
  const bool fused =
      report.architecture == "GraniteMoeForCausalLM" || report.architecture == "GptOssForCausalLM";
  if (fused) {
    text += fmt::format(
        "{} keeps its experts in fused tensors; here each expert has its own, as "
        "the format demands. Programs that know the fused layout alone cannot run "
        "it.\n\n",
        plain(report.architecture));
  }
  return text;
}

}  // namespace

std::string model_card(const Report& report) {
  const std::string name =
      report.model_name.empty() ? "a language model" : plain(report.model_name);
  std::string text = front_matter();
  text += fmt::format("# {}, int8 weights and activations\n\n", name);
  text += fmt::format(
      "A quantized copy of {}{}, made by HAQ Studio{}. Weights are int8 with one scale per output "
      "channel; activations are rounded to int8 at run time with one scale per token (W8A8). "
      "Embeddings, norms, router gates and the output head keep 16 bits. Layout: "
      "compressed-tensors, `int-quantized`. The source model's licence applies.\n\n",
      name, report.architecture.empty() ? "" : fmt::format(" ({})", plain(report.architecture)),
      report.program_version.empty() ? std::string()
                                     : fmt::format(" {}", plain(report.program_version)));
  text += making(report) + quality_of(report) + worst_modules(report) + experts_of(report) +
          running(report);
  if (!report.notices.empty()) {
    text += "## Notices\n\n";
    for (const std::string& notice : report.notices) text += fmt::format("- {}\n", plain(notice));
  }
  while (text.size() > 1 && text[text.size() - 2] == '\n') text.pop_back();
  return text;
}

}  // namespace haq::quant
