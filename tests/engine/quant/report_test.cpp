// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/quant/report/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "engine/base/error.h"

namespace haq::quant {
namespace {

using testing::HasSubstr;
using testing::Not;
using Json = nlohmann::json;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

QualityReport sample_quality() {
  QualityReport quality;
  quality.text = "/home/somebody/texts/wiki.txt";
  quality.recipe = "Windows of 1024 tokens, no overlap.";
  quality.tokens = 20480;
  quality.context = 1024;
  quality.ppl_before = 12.5;
  quality.ppl_after = 12.55;
  quality.ppl_ratio = 1.004;
  quality.ppl_ratio_low = 1.003;
  quality.ppl_ratio_high = 1.005;
  quality.kld_mean = 0.0079;
  quality.kld_low = 0.0075;
  quality.kld_high = 0.0083;
  quality.top1_agreement = 0.971;
  return quality;
}

Report sample() {
  Report report;
  report.program_version = "0.3.0";
  report.started_utc = "2026-03-01T10:00:00Z";
  report.source = "/models/olmoe";
  report.target = "/models/olmoe-w8a8";
  report.model_name = "allenai/OLMoE|1B";
  report.architecture = "OlmoeForCausalLM";
  report.base_fingerprint = "00112233445566778899aabbccddeeff";
  report.run_fingerprint = "ffeeddccbbaa99887766554433221100";
  report.method = Method::kHaq;
  report.rotate = RotateMode::kOn;
  report.experts_only = true;
  report.seed = std::numeric_limits<std::uint64_t>::max();
  report.calibration = {"/home/somebody/c4.txt", "chats.jsonl"};
  report.calib_tokens = 65536;
  report.sequence_length = 512;
  report.sequences = 128;
  report.all_expert_share = 0.125;
  report.rotated = true;
  report.rotation_seed = 3;
  report.rotation_reason = "";
  report.router_agreement = 0.998;
  report.rotation_trials = {{false, 0, 0.012}, {true, 3, 0.008}};
  for (int i = 0; i < 7; ++i) {
    ModuleReport module;
    module.name = fmt::format("model.layers.{}.mlp.experts.0.down_proj", i);
    module.role = model::Role::kDown;
    module.layer = i;
    module.expert = 0;
    module.smoothing = i % 2 == 0 ? "alpha" : "threshold";
    if (i % 2 == 0) {
      module.alpha = 0.5 + 0.05 * i;
    } else {
      module.threshold = 3.5;
    }
    module.error_rtn = 0.002 * (i + 1);
    module.error_smooth = 0.001 * (i + 1);
    module.error_final = 0.0005 * (i + 1);
    module.snr_db = 33.2;
    module.clip = 0.97;
    module.damping = 0.01;
    module.dead_channels = 2;
    module.rows_kept_rounded = 5;
    module.tokens = 900;
    module.seconds = 1.5;
    report.modules.push_back(module);
  }
  report.modules[1].smoothing_reason = "clip_qkv clamps, so \"no\" fold";
  report.experts = {{0, 0, 5000}, {0, 1, 17}, {1, 0, 800}};
  report.quality = sample_quality();
  report.ablation = {{"rtn", sample_quality(), 12}, {"+ smoothing", sample_quality(), 30}};
  report.bytes_before = std::int64_t{14} << 30;
  report.bytes_after = std::int64_t{7} << 30;
  report.seconds = 5400;
  report.peak_rss_bytes = std::uint64_t{3} << 30;
  report.threads = 8;
  report.isa = "avx512";
  report.notices = {"2 sequences were shorter than wanted."};
  return report;
}

Json reparsed(const Report& report) {
  return Json::parse(to_json(report).dump());
}

Error error_of(const Json& json) {
  try {
    report_from_json(json, "report.json");
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "accepted";
  return Error(ErrorCode::kInternal, "");
}

TEST(ReportJson, RoundTripsEveryField) {
  const auto json = to_json(sample());
  const Report back = report_from_json(Json::parse(json.dump()), "report.json");
  EXPECT_EQ(to_json(back).dump(), json.dump());
  EXPECT_EQ(back.seed, std::numeric_limits<std::uint64_t>::max());
  EXPECT_EQ(back.rotate, RotateMode::kOn);
  EXPECT_EQ(back.modules[2].alpha, 0.6);
  EXPECT_FALSE(back.modules[2].threshold);
  EXPECT_EQ(back.modules[2].role, model::Role::kDown);
  EXPECT_EQ(back.quality->ppl_ratio_high, 1.005);
  EXPECT_EQ(back.ablation[1].name, "+ smoothing");
  EXPECT_EQ(back.rotation_trials[1].seed, 3U);
}

/// The keys that checks and scripts read.
TEST(ReportJson, HasTheKeysOfTheCommandLine) {
  const Json json = reparsed(sample());
  EXPECT_EQ(json["schema"], 1);
  EXPECT_EQ(json["method"], "haq");
  EXPECT_EQ(json["seconds"], 5400);
  EXPECT_EQ(json["peak_rss_bytes"], std::uint64_t{3} << 30);
  EXPECT_EQ(json["ppl_before"], 12.5);
  EXPECT_EQ(json["ppl_after"], 12.55);
  EXPECT_EQ(json["quality"]["kld_mean"], 0.0079);
  for (const char* key : {"name", "smoothing", "alpha", "error_rtn", "error_smooth", "error_final",
                          "snr_db", "seconds"}) {
    EXPECT_TRUE(json["modules"][0].contains(key)) << key;
  }
  EXPECT_EQ(json["experts"][1], Json({{"layer", 0}, {"expert", 1}, {"tokens", 17}}));
}

TEST(ReportJson, WithoutQualityThereIsNoPerplexity) {
  Report report = sample();
  report.quality.reset();
  const Json json = reparsed(report);
  EXPECT_TRUE(json["ppl_before"].is_null());
  EXPECT_TRUE(json["ppl_after"].is_null());
  EXPECT_TRUE(json["quality"].is_null());
  EXPECT_FALSE(report_from_json(json, "report.json").quality);
}

TEST(ReportJson, EveryRoleRoundTrips) {
  for (int role = 0; role <= static_cast<int>(model::Role::kSharedExpertGate); ++role) {
    Report report;
    ModuleReport module;
    module.name = "m";
    module.role = static_cast<model::Role>(role);
    report.modules.push_back(module);
    EXPECT_EQ(report_from_json(reparsed(report), "r").modules[0].role, module.role);
  }
}

TEST(ReportJson, FiguresThatAreNoNumbersBecomeNull) {
  Report report = sample();
  report.modules[0].snr_db = kInfinity;
  report.modules[0].error_rtn = std::numeric_limits<double>::quiet_NaN();
  report.quality->ppl_after = kInfinity;
  const Json json = reparsed(report);
  EXPECT_TRUE(json["modules"][0]["snr_db"].is_null());
  EXPECT_TRUE(json["ppl_after"].is_null());
  EXPECT_EQ(report_from_json(json, "r").modules[0].snr_db, 0);
}

TEST(ReportJson, PathsThatAreNoTextDoNotBreakIt) {
  Report report = sample();
  report.source = "/models/\xff\xfe";
  report.calibration = {"\xc3("};
  const Json json = reparsed(report);
  EXPECT_THAT(json["source"].get<std::string>(), HasSubstr("/models/"));
}

TEST(ReportJson, AnOlderOneReadsWithDefaults) {
  const Report report = report_from_json(
      Json::parse(R"({"schema": 0, "method": "gptq", "modules": [{"name": "m", "role": "q"}]})"),
      "old.json");
  EXPECT_EQ(report.method, Method::kGptq);
  EXPECT_EQ(report.modules.size(), 1U);
  EXPECT_EQ(report.modules[0].smoothing, "none");
  EXPECT_EQ(report.modules[0].clip, 1);
  EXPECT_EQ(report.modules[0].layer, -1);
  EXPECT_FALSE(report.quality);
}

TEST(ReportJson, ANewerOneIsRefused) {
  Json json = reparsed(sample());
  json["schema"] = Report::kSchema + 1;
  const Error error = error_of(json);
  EXPECT_EQ(error.code(), ErrorCode::kConflict);
  EXPECT_THAT(error.what(), HasSubstr("report.json"));
  EXPECT_THAT(error.what(), HasSubstr("newer"));
}

TEST(ReportJson, WrongFieldsAreNamed) {
  struct Fault {
    const char* pointer;
    Json value;
    const char* named;
  };
  const std::vector<Fault> faults = {
      {"/schema", "one", "\"schema\""},
      {"/method", "awq", "\"method\""},
      {"/rotate", "maybe", "\"rotate\""},
      {"/seed", -1, "\"seed\""},
      {"/seconds", "long", "\"seconds\""},
      {"/seconds", kInfinity, "\"seconds\""},
      {"/modules", Json::object(), "\"modules\""},
      {"/modules/3", 7, "modules[3]"},
      {"/modules/3/role", "foo", "modules[3].role"},
      {"/modules/3/error_final", std::numeric_limits<double>::quiet_NaN(),
       "modules[3].error_final"},
      {"/modules/3/smoothing", "magic", "modules[3].smoothing"},
      {"/modules/3/name", nullptr, "modules[3].name"},
      {"/experts/0/tokens", -5, "experts[0].tokens"},
      {"/quality/top1_agreement", 1.5, "quality.top1_agreement"},
      {"/quality", "good", "quality"},
      {"/calibration/files", "x", "calibration.files"},
      {"/notices", 3, "\"notices\""},
  };
  for (const Fault& fault : faults) {
    Json json = reparsed(sample());
    json[Json::json_pointer(fault.pointer)] = fault.value;
    const Error error = error_of(json);
    EXPECT_EQ(error.code(), ErrorCode::kCorrupt) << fault.pointer;
    EXPECT_THAT(error.what(), HasSubstr(fault.named));
    EXPECT_THAT(error.what(), HasSubstr("report.json"));
  }
  EXPECT_EQ(error_of(Json::array()).code(), ErrorCode::kCorrupt);
  EXPECT_EQ(error_of(Json::object()).code(), ErrorCode::kCorrupt);
}

TEST(ReportJson, SizesAreLimited) {
  Json json = reparsed(sample());
  json["model_name"] = std::string(100000, 'x');
  EXPECT_EQ(error_of(json).code(), ErrorCode::kLimit);
  json = reparsed(sample());
  json["notices"] = std::vector<std::string>(20000, "again");
  EXPECT_EQ(error_of(json).code(), ErrorCode::kLimit);
  json = reparsed(sample());
  json["ablation"] = std::vector<Json>(200, Json::object());
  EXPECT_EQ(error_of(json).code(), ErrorCode::kLimit);
}

std::vector<std::string> split(const std::string& text, const std::string& separator) {
  std::vector<std::string> parts;
  std::size_t begin = 0;
  for (;;) {
    const auto end = text.find(separator, begin);
    parts.push_back(text.substr(begin, end - begin));
    if (end == std::string::npos) return parts;
    begin = end + separator.size();
  }
}

TEST(ReportCsv, OneLinePerModuleWithTheFieldsOfTheJson) {
  const Report report = sample();
  const auto lines = split(to_csv(report), "\r\n");
  ASSERT_EQ(lines.size(), report.modules.size() + 2);
  EXPECT_EQ(lines.back(), "");
  const auto names = split(lines[0], ",");
  const auto json = to_json(report)["modules"][0];
  ASSERT_EQ(names.size(), json.size());
  std::size_t column = 0;
  for (const auto& [name, value] : json.items()) EXPECT_EQ(names[column++], name);
  const auto fields = split(lines[1], ",");
  ASSERT_EQ(fields.size(), names.size());
  EXPECT_EQ(fields[0], "model.layers.0.mlp.experts.0.down_proj");
  EXPECT_EQ(fields[1], "down");
  EXPECT_EQ(fields[5], "0.5");
  EXPECT_EQ(fields[6], "") << "no threshold: an empty field";
}

TEST(ReportCsv, QuotesByRfc4180) {
  EXPECT_THAT(to_csv(sample()), HasSubstr(",\"clip_qkv clamps, so \"\"no\"\" fold\","));
  Report report;
  EXPECT_EQ(split(to_csv(report), "\r\n").size(), 2U) << "only the header";
}

TEST(ModelCard, TellsWhatOthersNeed) {
  const std::string card = model_card(sample());
  EXPECT_THAT(card, testing::StartsWith("---\nlibrary_name: transformers\n"));
  EXPECT_THAT(card, HasSubstr("- w8a8\n"));
  EXPECT_THAT(card, HasSubstr("\n---\n\n# allenai/OLMoE\\|1B, int8"));
  EXPECT_THAT(card, HasSubstr("seed 3"));
  EXPECT_THAT(card, HasSubstr("+0.40 % (95 % interval +0.30 % to +0.50 %)"));
  EXPECT_THAT(card, HasSubstr("| Mean KL divergence (nats) | | 0.0079"));
  EXPECT_THAT(card, HasSubstr("97.10 %"));
  EXPECT_THAT(card, HasSubstr("14.0 GiB before, 7.0 GiB after"));
  EXPECT_THAT(card, HasSubstr("7.5 to 9.x"));
  EXPECT_THAT(card, HasSubstr("Blackwell"));
  EXPECT_THAT(card, HasSubstr("1 of 3 experts saw fewer than"));
  EXPECT_THAT(card, HasSubstr("layer 0 expert 1 (17)"));
  EXPECT_THAT(card, HasSubstr("2 sequences were shorter"));
  EXPECT_THAT(card, HasSubstr("`c4.txt`, `chats.jsonl`"));
  EXPECT_THAT(card, Not(HasSubstr("base\\_model"))) << "the source's name at a hub is not known";
  EXPECT_THAT(card, Not(HasSubstr("/home/somebody"))) << "a card is published, paths are not";
  EXPECT_THAT(card, Not(HasSubstr("/models/")));
}

TEST(ModelCard, ShowsTheFiveWorstModulesWorstFirst) {
  Report report = sample();
  report.modules[2].error_final = std::numeric_limits<double>::quiet_NaN();
  const std::string card = model_card(report);
  const auto at = [&](int layer) { return card.find(fmt::format("layers.{}.mlp", layer)); };
  EXPECT_LT(at(2), at(6));
  EXPECT_LT(at(6), at(5));
  EXPECT_LT(at(5), at(4));
  EXPECT_LT(at(4), at(3));
  EXPECT_NE(at(3), std::string::npos);
  EXPECT_EQ(at(1), std::string::npos);
  EXPECT_EQ(at(0), std::string::npos);
}

TEST(ModelCard, SaysWhatIsNotKnown) {
  Report report;
  report.method = Method::kRtn;
  const std::string card = model_card(report);
  EXPECT_THAT(card, HasSubstr("Not measured."));
  EXPECT_THAT(card, Not(HasSubstr("## Experts")));
  EXPECT_THAT(card, Not(HasSubstr("## Notices")));
  EXPECT_THAT(card, Not(HasSubstr("Rotation")));
  EXPECT_THAT(card, Not(HasSubstr("nan")));
}

TEST(ModelCard, TextFromOutsideCannotBreakOut) {
  Report report = sample();
  report.model_name = "x\n---\n# <script>";
  report.calibration = {"a`b\n.txt"};
  const std::string card = model_card(report);
  EXPECT_THAT(card, Not(HasSubstr("\n# <script>")));
  EXPECT_THAT(card, Not(HasSubstr("<script>"))) << card;
  EXPECT_THAT(card, HasSubstr("`a b .txt`"));
}

}  // namespace
}  // namespace haq::quant
