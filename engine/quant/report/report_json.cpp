// SPDX-License-Identifier: GPL-3.0-or-later
// quantization-report.json: what the command line prints, the folder keeps and the store remembers.
#include <algorithm>
#include <limits>

#include "engine/base/error.h"
#include "engine/quant/report/report.h"
#include "engine/quant/report/report_fields.h"

namespace haq::quant {
namespace {

using Json = nlohmann::ordered_json;
using model::Fields;

constexpr std::size_t kMaxModules = std::size_t{1} << 20;
constexpr std::size_t kMaxTrials = 1000;
constexpr std::size_t kMaxAblation = 100;
constexpr std::size_t kMaxTexts = 10000;

/// Paths may hold any bytes; JSON may not.
std::string utf8(const std::string& text) {
  const std::string safe = Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
  return Json::parse(safe).get<std::string>();
}

Json utf8(const std::vector<std::string>& texts) {
  Json list = Json::array();
  for (const std::string& text : texts) list.push_back(utf8(text));
  return list;
}

Json quality_to_json(const QualityReport& quality) {
  Json json;
  json["text"] = utf8(quality.text);
  json["recipe"] = utf8(quality.recipe);
  json["tokens"] = quality.tokens;
  json["context"] = quality.context;
  json["ppl_before"] = real_to_json(quality.ppl_before);
  json["ppl_after"] = real_to_json(quality.ppl_after);
  json["ppl_ratio"] = real_to_json(quality.ppl_ratio);
  json["ppl_ratio_low"] = real_to_json(quality.ppl_ratio_low);
  json["ppl_ratio_high"] = real_to_json(quality.ppl_ratio_high);
  json["kld_mean"] = real_to_json(quality.kld_mean);
  json["kld_low"] = real_to_json(quality.kld_low);
  json["kld_high"] = real_to_json(quality.kld_high);
  json["top1_agreement"] = real_to_json(quality.top1_agreement);
  return json;
}

Json rotation_to_json(const Report& report) {
  Json json;
  json["applied"] = report.rotated;
  json["seed"] = report.rotation_seed;
  json["reason"] = utf8(report.rotation_reason);
  json["router_agreement"] = real_to_json(report.router_agreement);
  json["trials"] = Json::array();
  for (const RotationTrial& trial : report.rotation_trials) {
    json["trials"].push_back(
        {{"rotated", trial.rotated}, {"seed", trial.seed}, {"kld", real_to_json(trial.kld)}});
  }
  return json;
}

Json calibration_to_json(const Report& report) {
  Json json;
  json["files"] = utf8(report.calibration);
  json["tokens"] = report.calib_tokens;
  json["sequences"] = report.sequences;
  json["sequence_length"] = report.sequence_length;
  json["all_expert_share"] = real_to_json(report.all_expert_share);
  return json;
}

// --- reading

double positive(const Fields& fields, const char* key, double fallback = 0) {
  return fields.real_if(key, 0, kMaxReal).value_or(fallback);
}

std::int64_t count(const Fields& fields, const char* key) {
  return fields.integer_if(key, 0, kMaxCount).value_or(0);
}

/// A seed has 64 bits without a sign.
std::uint64_t seed_of(const Fields& fields, const char* key) {
  const nlohmann::json* value = fields.find(key);
  if (value == nullptr) return 0;
  if (!value->is_number_unsigned()) fields.wrong(key, "an integer of at least 0");
  return value->get<std::uint64_t>();
}

std::vector<std::string> texts_of(const Fields& fields, const char* key) {
  auto texts = fields.texts_if(key).value_or(std::vector<std::string>());
  const bool long_one = std::any_of(texts.begin(), texts.end(), [](const std::string& text) {
    return text.size() > kMaxReportText;
  });
  if (texts.size() > kMaxTexts || long_one) {
    fail(ErrorCode::kLimit, "{}: field \"{}\": more than {} texts, or one over {} bytes",
         fields.file(), key, kMaxTexts, kMaxReportText);
  }
  return texts;
}

QualityReport read_quality(const Fields& fields) {
  QualityReport quality;
  quality.text = text_from_json(fields, "text");
  quality.recipe = text_from_json(fields, "recipe");
  quality.tokens = count(fields, "tokens");
  quality.context = count(fields, "context");
  quality.ppl_before = positive(fields, "ppl_before");
  quality.ppl_after = positive(fields, "ppl_after");
  quality.ppl_ratio = positive(fields, "ppl_ratio", 1);
  quality.ppl_ratio_low = fields.real_if("ppl_ratio_low", 0, kMaxReal);
  quality.ppl_ratio_high = fields.real_if("ppl_ratio_high", 0, kMaxReal);
  // An estimate of a small divergence may come out below zero.
  quality.kld_mean = fields.real_if("kld_mean", -kMaxReal, kMaxReal).value_or(0);
  quality.kld_low = fields.real_if("kld_low", -kMaxReal, kMaxReal);
  quality.kld_high = fields.real_if("kld_high", -kMaxReal, kMaxReal);
  quality.top1_agreement = fields.real_if("top1_agreement", 0, 1).value_or(0);
  return quality;
}

void read_rotation(const Fields& fields, Report& report) {
  report.rotated = fields.boolean("applied", false);
  report.rotation_seed = seed_of(fields, "seed");
  report.rotation_reason = text_from_json(fields, "reason");
  report.router_agreement = fields.real_if("router_agreement", 0, 1);
  for_each_object(fields, "trials", kMaxTrials, [&](const Fields& item) {
    RotationTrial trial;
    trial.rotated = item.boolean("rotated", false);
    trial.seed = seed_of(item, "seed");
    trial.kld = item.real_if("kld", -kMaxReal, kMaxReal).value_or(0);
    report.rotation_trials.push_back(trial);
  });
}

void read_calibration(const Fields& fields, Report& report) {
  report.calibration = texts_of(fields, "files");
  report.calib_tokens = count(fields, "tokens");
  report.sequences = count(fields, "sequences");
  report.sequence_length = count(fields, "sequence_length");
  report.all_expert_share = fields.real_if("all_expert_share", 0, 1).value_or(0);
}

Method read_method(const Fields& fields) {
  const auto word = fields.text_if("method");
  if (!word) fields.missing("method", "the method's name");
  for (const Method method : {Method::kHaq, Method::kGptq, Method::kSmoothQuant, Method::kRtn}) {
    if (*word == to_string(method)) return method;
  }
  fields.wrong("method", "\"haq\", \"gptq\", \"smoothquant\" or \"rtn\"");
}

RotateMode read_rotate(const Fields& fields) {
  const std::string word = fields.text_if("rotate").value_or("auto");
  for (const RotateMode mode : {RotateMode::kAuto, RotateMode::kOn, RotateMode::kOff}) {
    if (word == to_string(mode)) return mode;
  }
  fields.wrong("rotate", "\"auto\", \"on\" or \"off\"");
}

void check_schema(const Fields& fields) {
  const auto schema = fields.integer("schema", 0, std::numeric_limits<int>::max());
  if (schema <= Report::kSchema) return;
  throw Error(ErrorCode::kConflict,
              fmt::format("{}: written by a newer version of this program (schema {}, this one "
                          "knows up to {})",
                          fields.file(), schema, Report::kSchema),
              "update the program");
}

}  // namespace

Json to_json(const Report& report) {
  Json json;
  json["schema"] = Report::kSchema;
  json["program_version"] = report.program_version;
  json["started_utc"] = report.started_utc;
  json["method"] = to_string(report.method);
  json["rotate"] = to_string(report.rotate);
  json["experts_only"] = report.experts_only;
  json["seed"] = report.seed;
  json["source"] = utf8(report.source);
  json["target"] = utf8(report.target);
  json["model_name"] = utf8(report.model_name);
  json["architecture"] = report.architecture;
  json["base_fingerprint"] = report.base_fingerprint;
  json["run_fingerprint"] = report.run_fingerprint;
  json["seconds"] = real_to_json(report.seconds);
  json["peak_rss_bytes"] = report.peak_rss_bytes;
  json["threads"] = report.threads;
  json["isa"] = report.isa;
  json["bytes_before"] = report.bytes_before;
  json["bytes_after"] = report.bytes_after;
  json["ppl_before"] = report.quality ? real_to_json(report.quality->ppl_before) : Json(nullptr);
  json["ppl_after"] = report.quality ? real_to_json(report.quality->ppl_after) : Json(nullptr);
  json["quality"] = report.quality ? quality_to_json(*report.quality) : Json(nullptr);
  json["ablation"] = Json::array();
  for (const AblationRow& row : report.ablation) {
    json["ablation"].push_back({{"name", utf8(row.name)},
                                {"seconds", real_to_json(row.seconds)},
                                {"quality", quality_to_json(row.quality)}});
  }
  json["calibration"] = calibration_to_json(report);
  json["rotation"] = rotation_to_json(report);
  json["notices"] = utf8(report.notices);
  json["experts"] = Json::array();
  for (const ExpertReport& expert : report.experts) json["experts"].push_back(to_json(expert));
  json["modules"] = Json::array();
  for (const ModuleReport& module : report.modules) json["modules"].push_back(to_json(module));
  return json;
}

Report report_from_json(const nlohmann::json& json, const std::string& file) {
  const Fields fields(json, file);
  check_schema(fields);
  Report report;
  report.program_version = text_from_json(fields, "program_version");
  report.started_utc = text_from_json(fields, "started_utc");
  report.method = read_method(fields);
  report.rotate = read_rotate(fields);
  report.experts_only = fields.boolean("experts_only", false);
  report.seed = seed_of(fields, "seed");
  report.source = text_from_json(fields, "source");
  report.target = text_from_json(fields, "target");
  report.model_name = text_from_json(fields, "model_name");
  report.architecture = text_from_json(fields, "architecture");
  report.base_fingerprint = text_from_json(fields, "base_fingerprint");
  report.run_fingerprint = text_from_json(fields, "run_fingerprint");
  report.seconds = positive(fields, "seconds");
  report.peak_rss_bytes = static_cast<std::uint64_t>(count(fields, "peak_rss_bytes"));
  report.threads = static_cast<int>(fields.integer_if("threads", 0, 1 << 20).value_or(0));
  report.isa = text_from_json(fields, "isa");
  report.bytes_before = count(fields, "bytes_before");
  report.bytes_after = count(fields, "bytes_after");
  if (const auto quality = fields.child("quality")) report.quality = read_quality(*quality);
  for_each_object(fields, "ablation", kMaxAblation, [&](const Fields& item) {
    AblationRow row;
    row.name = text_from_json(item, "name");
    row.seconds = positive(item, "seconds");
    if (const auto quality = item.child("quality")) row.quality = read_quality(*quality);
    report.ablation.push_back(std::move(row));
  });
  if (const auto calibration = fields.child("calibration")) read_calibration(*calibration, report);
  if (const auto rotation = fields.child("rotation")) read_rotation(*rotation, report);
  report.notices = texts_of(fields, "notices");
  for_each_object(fields, "experts", kMaxModules,
                  [&](const Fields& item) { report.experts.push_back(expert_from_json(item)); });
  for_each_object(fields, "modules", kMaxModules,
                  [&](const Fields& item) { report.modules.push_back(module_from_json(item)); });
  return report;
}

}  // namespace haq::quant
