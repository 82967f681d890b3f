// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/session/quantize_job.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "tests/engine/quant/run_fixture.h"
#include "tests/support/paths.h"

namespace haq::session {
namespace {

namespace fs = std::filesystem;
using test::TempDir;
using testing::HasSubstr;

std::string text_of(const fs::path& file) {
  std::ifstream stream(file);
  return {std::istreambuf_iterator<char>(stream), {}};
}

QuantizeJobOptions small_job(const TempDir& folder, quant::Method method = quant::Method::kRtn) {
  QuantizeJobOptions options;
  options.quantize = test::small_run(folder.path(), "mixtral", method);
  return options;
}

TEST(QuantizeJob, MeasuresOnHeldOutText) {
  const TempDir folder;
  QuantizeJobOptions options = small_job(folder);
  options.report_json = folder.path() / "r.json";
  options.report_csv = folder.path() / "r.csv";
  int qualities = 0;
  std::uint64_t last = 0;
  QuantizeJobEvents events;
  events.quality = [&](const quant::QualityReport&) { ++qualities; };
  events.run.progress = [&](const Progress& progress) {
    EXPECT_GE(progress.done, last);
    last = progress.done;
  };
  const quant::Report report = run_quantize_job(options, events);
  EXPECT_EQ(qualities, 1);
  ASSERT_TRUE(report.quality.has_value());
  EXPECT_THAT(report.quality->text, HasSubstr("held-out"));
  EXPECT_NEAR(report.quality->ppl_ratio, report.quality->ppl_after / report.quality->ppl_before,
              1e-9);
  EXPECT_GT(report.quality->kld_mean, 0);
  EXPECT_EQ(report.quality->context, 32);
  const fs::path out = options.quantize.target;
  EXPECT_EQ(text_of(out / quant::kReportFile), text_of(options.report_json));
  const auto json = nlohmann::json::parse(text_of(options.report_json));
  EXPECT_EQ(json.at("ppl_after"), report.quality->ppl_after);
  EXPECT_THAT(text_of(out / "README.md"), testing::StartsWith("---\n"));
  EXPECT_THAT(text_of(options.report_csv), testing::StartsWith("name,"));
}

TEST(QuantizeJob, MeasuresOnATextOfItsOwn) {
  const TempDir folder;
  QuantizeJobOptions options = small_job(folder);
  options.eval_text = folder.path() / "eval.txt";
  std::ofstream(options.eval_text) << test::random_words(200, 11);
  options.eval_context = 64;
  options.eval_tokens = 150;
  const quant::Report report = run_quantize_job(options);
  ASSERT_TRUE(report.quality.has_value());
  EXPECT_EQ(report.quality->text, options.eval_text.string());
  EXPECT_EQ(report.quality->context, 64);
  EXPECT_EQ(report.quality->tokens, 150 - 3);
  const quant::QualityReport again = measure_quality(
      options.quantize.source, options.quantize.target, options.eval_text, {}, options);
  EXPECT_EQ(again.kld_mean, report.quality->kld_mean);
}

TEST(QuantizeJob, AblationShowsEveryPart) {
  const TempDir folder;
  QuantizeJobOptions options = small_job(folder, quant::Method::kHaq);
  options.quantize.rotate = quant::RotateMode::kOn;
  options.ablate = true;
  int rows = 0;
  QuantizeJobEvents events;
  events.ablation = [&](const quant::AblationRow&) { ++rows; };
  const quant::Report report = run_quantize_job(options, events);
  std::vector<std::string> names;
  for (const quant::AblationRow& row : report.ablation) names.push_back(row.name);
  EXPECT_THAT(names, testing::ElementsAre("rtn", "+ smoothing", "+ Hessian-aware weights",
                                          "+ rotation", "smoothquant", "gptq"));
  EXPECT_EQ(rows, 6);
  EXPECT_EQ(report.ablation[3].quality.kld_mean, report.quality->kld_mean);
  EXPECT_NE(report.ablation[0].quality.kld_mean, report.ablation[1].quality.kld_mean);
  EXPECT_NE(report.ablation[1].quality.kld_mean, report.ablation[2].quality.kld_mean);
  // Nothing is left beside the target.
  for (const fs::directory_entry& entry : fs::directory_iterator(folder.path())) {
    EXPECT_FALSE(entry.path().filename().string().starts_with('.')) << entry.path();
  }
}

TEST(QuantizeJob, RefusesBeforeTheRunWhatWouldFailAfterIt) {
  const TempDir folder;
  const QuantizeJobOptions options = small_job(folder);
  const auto expect_refused = [&](const std::function<void(QuantizeJobOptions&)>& change) {
    QuantizeJobOptions changed = options;
    change(changed);
    EXPECT_THROW(run_quantize_job(changed), Error);
    EXPECT_FALSE(fs::exists(options.quantize.target));
  };
  expect_refused([&](auto& o) { o.eval_text = folder.path() / "nowhere.txt"; });
  expect_refused([&](auto& o) {
    o.eval_text = folder.path() / "words.txt";
    o.eval_context = 100000;
  });
  std::ofstream(folder.path() / "latin1.txt") << "caf\xe9";
  expect_refused([&](auto& o) { o.eval_text = folder.path() / "latin1.txt"; });
  std::ofstream(folder.path() / "short.txt") << "w1";
  expect_refused([&](auto& o) { o.eval_text = folder.path() / "short.txt"; });
  expect_refused([&](auto& o) { o.report_json = folder.path() / "none" / "r.json"; });
  expect_refused([&](auto& o) { o.report_csv = folder.path() / "none" / "r.csv"; });
  expect_refused([&](auto& o) {
    o.ablate = true;
    o.measure_quality = false;
  });
}

TEST(QuantizeJob, ACancelKeepsAFinishedModel) {
  const TempDir folder;
  QuantizeJobOptions options = small_job(folder);
  const CancelToken cancel;
  QuantizeJobEvents events;
  events.run.progress = [&](const Progress& progress) {
    if (progress.stage.find("quality") != std::string::npos) cancel.cancel();
  };
  EXPECT_THROW(run_quantize_job(options, events, cancel), Error);
  EXPECT_TRUE(quant::WorkFolder::inspect(options.quantize.target).finished);
  EXPECT_TRUE(fs::exists(options.quantize.target / quant::kReportFile));
  // What was not done before is done now.
  options.quantize.resume = quant::ResumeMode::kResume;
  EXPECT_TRUE(run_quantize_job(options).quality.has_value());
}

TEST(QuantizeJob, CommandLineSaysWhatWasOrdered) {
  QuantizeJobOptions options;
  options.quantize.target = "out";
  options.quantize.calibration.files = {"a.txt"};
  EXPECT_EQ(quantize_command_line(options), "haq quantize out --calib a.txt");
  options.quantize.source = "my model";
  options.quantize.target = "-out";
  options.quantize.calibration.files = {"it's.txt", "$b.jsonl"};
  options.quantize.calibration.tokens = 1024;
  options.quantize.calibration.sequence_length = 64;
  options.quantize.calibration.seed = 3;
  options.quantize.method = quant::Method::kGptq;
  options.quantize.rotate = quant::RotateMode::kOff;
  options.quantize.rotation_seeds = 5;
  options.quantize.experts_only = true;
  options.quantize.threads = 4;
  options.quantize.resume = quant::ResumeMode::kResume;
  options.eval_text = "e.txt";
  options.eval_context = 256;
  options.eval_tokens = 1000;
  options.ablate = true;
  options.report_csv = "r.csv";
  EXPECT_EQ(
      quantize_command_line(options),
      "haq quantize 'my model' ./-out --calib 'it'\\''s.txt' --calib '$b.jsonl' --method gptq "
      "--calib-tokens 1024 --sequence-length 64 --seed 3 --rotate off --rotation-seeds 5 "
      "--experts-only --resume --eval e.txt --eval-context 256 --eval-tokens 1000 --ablate "
      "--report-csv r.csv --threads 4");
  options.measure_quality = false;
  EXPECT_THAT(quantize_command_line(options), HasSubstr("--no-eval"));
  const nlohmann::ordered_json json = quantize_options_json(options);
  EXPECT_EQ(json.at("method"), "gptq");
  EXPECT_EQ(json.at("calibration").size(), 2U);
  EXPECT_EQ(json.at("source"), fs::absolute("my model").string());
}

}  // namespace
}  // namespace haq::session
