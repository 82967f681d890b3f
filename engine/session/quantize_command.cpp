// SPDX-License-Identifier: GPL-3.0-or-later
#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>

#include "engine/session/quantize_job.h"

namespace haq::session {

namespace {

/// Letters that no shell takes for anything else.
bool plain(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
         std::string_view("_-./=:@%+,").find(c) != std::string_view::npos;
}

std::string quoted(const std::string& word) {
  if (!word.empty() && std::all_of(word.begin(), word.end(), plain)) return word;
  std::string text = "'";
  for (const char c : word) {
    if (c == '\'') {
      text += "'\\''";  // out of the quotes, a quote, in again
    } else {
      text += c;
    }
  }
  text += '\'';
  return text;
}

}  // namespace

std::string quantize_command_line(const QuantizeJobOptions& options) {
  const quant::QuantizeOptions& run = options.quantize;
  const quant::QuantizeOptions defaults;
  std::string line = "haq quantize";
  const auto word = [&](const std::string& text) { line.append(1, ' ').append(quoted(text)); };
  const auto option = [&](const char* name, const std::string& value) {
    word(name);
    word(value);
  };
  const auto number = [&](const char* name, std::int64_t value, std::int64_t fallback) {
    if (value != fallback) option(name, std::to_string(value));
  };
  // "./" keeps a name that begins with a dash from being taken for an option.
  const auto file = [](const std::filesystem::path& path) {
    return path.string().starts_with('-') ? (std::filesystem::path(".") / path).string()
                                          : path.string();
  };
  if (!run.source.empty()) word(file(run.source));
  word(file(run.target));
  for (const auto& path : run.calibration.files) option("--calib", file(path));
  if (run.method != defaults.method) option("--method", quant::to_string(run.method));
  number("--calib-tokens", run.calibration.tokens, defaults.calibration.tokens);
  number("--sequence-length", run.calibration.sequence_length,
         defaults.calibration.sequence_length);
  if (run.calibration.seed != 0) option("--seed", std::to_string(run.calibration.seed));
  if (run.rotate != defaults.rotate) option("--rotate", quant::to_string(run.rotate));
  number("--rotation-seeds", run.rotation_seeds, defaults.rotation_seeds);
  if (run.experts_only) word("--experts-only");
  if (run.resume == quant::ResumeMode::kResume) word("--resume");
  if (run.resume == quant::ResumeMode::kRestart) word("--restart");
  if (!options.measure_quality) word("--no-eval");
  if (!options.eval_text.empty()) option("--eval", file(options.eval_text));
  number("--eval-context", options.eval_context, 0);
  number("--eval-tokens", options.eval_tokens, 0);
  if (options.ablate) word("--ablate");
  if (!options.report_json.empty()) option("--report", file(options.report_json));
  if (!options.report_csv.empty()) option("--report-csv", file(options.report_csv));
  number("--threads", run.threads, 0);
  return line;
}

nlohmann::ordered_json quantize_options_json(const QuantizeJobOptions& options) {
  const quant::QuantizeOptions& run = options.quantize;
  const auto file = [](const std::filesystem::path& path) {
    return path.empty() ? std::string()
                        : std::filesystem::absolute(path).lexically_normal().string();
  };
  nlohmann::ordered_json json;
  json["source"] = file(run.source);
  json["target"] = file(run.target);
  json["method"] = quant::to_string(run.method);
  json["rotate"] = quant::to_string(run.rotate);
  json["rotation_seeds"] = run.rotation_seeds;
  json["experts_only"] = run.experts_only;
  json["calibration"] = nlohmann::ordered_json::array();
  for (const auto& path : run.calibration.files) json["calibration"].push_back(file(path));
  json["tokens"] = run.calibration.tokens;
  json["sequence_length"] = run.calibration.sequence_length;
  json["seed"] = run.calibration.seed;
  json["measure_quality"] = options.measure_quality;
  json["eval_text"] = file(options.eval_text);
  json["eval_context"] = options.eval_context;
  json["eval_tokens"] = options.eval_tokens;
  json["ablate"] = options.ablate;
  return json;
}

}  // namespace haq::session
