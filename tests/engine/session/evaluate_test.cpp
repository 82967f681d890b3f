// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/session/evaluate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/base/error.h"
#include "engine/base/file.h"
#include "engine/base/json.h"
#include "tests/engine/session/session_models.h"

namespace haq::session {
namespace {

EvaluateOptions windows_of(std::int64_t context, std::int64_t stride = 0, bool bos = false) {
  EvaluateOptions options;
  options.context = context;
  options.stride = stride;
  options.bos = bos;
  return options;
}

std::vector<std::vector<std::int64_t>> plan(std::int64_t count, const EvaluateOptions& options) {
  std::vector<std::vector<std::int64_t>> rows;
  for (const Window& w : plan_windows(count, options)) {
    rows.push_back({w.begin, w.end, w.first_scored});
  }
  return rows;
}

using testing::ElementsAre;

TEST(PlanWindows, ConsecutiveWindowsScoreAllButTheirFirstId) {
  EXPECT_THAT(plan(10, windows_of(4)),
              ElementsAre(ElementsAre(0, 4, 1), ElementsAre(4, 8, 5), ElementsAre(8, 10, 9)));
  // A last window of one id has nothing to score.
  EXPECT_THAT(plan(9, windows_of(4)), ElementsAre(ElementsAre(0, 4, 1), ElementsAre(4, 8, 5)));
}

TEST(PlanWindows, WithABosEveryIdIsScored) {
  EXPECT_THAT(plan(7, windows_of(4, 0, true)),
              ElementsAre(ElementsAre(0, 3, 0), ElementsAre(3, 6, 3), ElementsAre(6, 7, 6)));
}

TEST(PlanWindows, AStrideScoresTheLastIdsOfEachWindow) {
  EXPECT_THAT(plan(9, windows_of(6, 2)),
              ElementsAre(ElementsAre(0, 6, 4), ElementsAre(2, 8, 6), ElementsAre(4, 9, 8)));
  EXPECT_EQ(plan(9, windows_of(4, 4)), plan(9, windows_of(4)));
}

TEST(PlanWindows, RefusesSizesThatMakeNoSense) {
  EXPECT_THROW(plan_windows(10, windows_of(1)), Error);
  EXPECT_THROW(plan_windows(10, windows_of(4, 5)), Error);
  EXPECT_THROW(plan_windows(10, windows_of(4, 4, true)), Error);
}

TEST(LogSoftmax, IsExactForLargeLogits) {
  std::vector<double> out(3);
  log_softmax(std::vector<float>{1000, 1000, -1000}, out);
  EXPECT_DOUBLE_EQ(out[0], -std::log(2.0));
  EXPECT_DOUBLE_EQ(out[2], -2000 - std::log(2.0));
}

TEST(KlDivergence, OfKnownDistributions) {
  const std::vector<double> p{std::log(0.75), std::log(0.25)};
  const std::vector<double> q{std::log(0.5), std::log(0.5)};
  EXPECT_NEAR(kl_divergence(p, q), 0.75 * std::log(1.5) + 0.25 * std::log(0.5), 1e-15);
  EXPECT_EQ(kl_divergence(p, p), 0);
  const std::vector<double> with_zero{0, -INFINITY};
  EXPECT_NEAR(kl_divergence(with_zero, q), std::log(2.0), 1e-15);
}

/// The first 80,000 characters of the reference text, encoded, 20,000 ids: tests/golden/README.md.
std::vector<std::int32_t> reference_ids(const Model& model, const nlohmann::json& golden) {
  const std::string text =
      read_text_file(test::shared_dir() / "data/text" / golden.at("text").get<std::string>(),
                     std::size_t{16} << 20);
  std::size_t bytes = 0;
  for (int characters = 0; characters < 80000; ++characters) {
    do ++bytes;
    while (bytes < text.size() && (static_cast<unsigned char>(text[bytes]) & 0xc0) == 0x80);
  }
  text::Tokenizer::EncodeOptions plain;
  plain.add_special = false;
  std::vector<std::int32_t> ids = model.tokenizer().encode(text.substr(0, bytes), plain);
  ids.resize(20000);
  return ids;
}

/// Compares the perplexity and the sum of every window with the reference.
void compare(Model& model, const std::string& name, const std::string& recipe) {
  const nlohmann::json golden = parse_json_file(test::golden_dir() / "perplexity.json");
  const nlohmann::json& expected = golden.at("models").at(name).at(recipe);
  const bool bos = recipe == "fp32_B";
  EvaluateOptions options = windows_of(256, 0, bos);
  const EvaluateResult found = evaluate(model, nullptr, reference_ids(model, golden), options);
  EXPECT_EQ(found.tokens, expected.at("scored_tokens").get<std::int64_t>());
  EXPECT_NEAR(found.perplexity, expected.at("perplexity").get<double>(),
              1e-3 * expected.at("perplexity").get<double>());
  const auto sums = expected.at("nll_sum_per_window").get<std::vector<double>>();
  ASSERT_EQ(found.nll_sum_per_window.size(), sums.size());
  for (std::size_t w = 0; w < sums.size(); ++w) {
    EXPECT_NEAR(found.nll_sum_per_window[w], sums[w], 1e-3 * sums[w]) << "window " << w;
  }
  ASSERT_TRUE(found.ci95.has_value());
  EXPECT_LT(found.ci95->low, found.perplexity);
  EXPECT_GT(found.ci95->high, found.perplexity);
}

TEST(Evaluate, StoriesPerplexityAgreesWithTheReference) {
  HAQ_REQUIRE_SHARED();
  const auto model = test::load_fp32(test::stories_folder());
  compare(*model, "stories260k", "fp32_A");
  compare(*model, "stories260k", "fp32_B");
}

TEST(Evaluate, DemoPerplexityAgreesWithTheReference) {
  HAQ_REQUIRE_SHARED();
  compare(*test::demo_model(), "demo-moe", "fp32_A");
  compare(*test::demo_model(), "demo-moe", "fp32_B");
}

std::vector<std::int32_t> some_ids(std::size_t count) {
  std::vector<std::int32_t> ids;
  for (std::size_t i = 0; i < count; ++i) {
    ids.push_back(static_cast<std::int32_t>((i * 7919 + i * i * 31) % 4000 + 10));
  }
  return ids;
}

TEST(Evaluate, AModelEqualsItself) {
  const auto model = test::demo_model();
  const auto base = test::load_fp32(test::demo_folder());
  const EvaluateResult found = evaluate(*model, base.get(), some_ids(96), windows_of(32));
  ASSERT_TRUE(found.comparison.has_value());
  EXPECT_EQ(found.comparison->kld_mean, 0);
  EXPECT_EQ(found.comparison->top1_agreement, 1);
  EXPECT_EQ(found.comparison->ppl_ratio, 1);
  EXPECT_EQ(found.comparison->base_perplexity, found.perplexity);
}

TEST(Evaluate, ComparesWithAnotherArithmetic) {
  LoadOptions options;
  options.folder = test::demo_folder();
  options.threads = 2;
  options.compute = nn::Compute::kBf16;
  const auto bf16 = Model::load(options);
  const EvaluateResult found =
      evaluate(*bf16, test::demo_model().get(), some_ids(128), windows_of(64));
  ASSERT_TRUE(found.comparison.has_value());
  EXPECT_GT(found.comparison->kld_mean, 0);
  EXPECT_LT(found.comparison->kld_mean, 0.01);
  EXPECT_GT(found.comparison->top1_agreement, 0.8);
  EXPECT_NEAR(found.comparison->ppl_ratio, 1, 0.05);
  EXPECT_NEAR(found.comparison->ppl_ratio, found.perplexity / found.comparison->base_perplexity,
              1e-9);
}

TEST(Evaluate, ChunksDoNotChangeTheLossInFp32) {
  const auto small = test::load_fp32(test::demo_folder(), 7);
  const EvaluateResult a = evaluate(*small, nullptr, some_ids(90), windows_of(40, 10));
  const EvaluateResult b = evaluate(*test::demo_model(), nullptr, some_ids(90), windows_of(40, 10));
  EXPECT_EQ(a.nll, b.nll);
}

TEST(Evaluate, SequencesAreWindows) {
  const auto model = test::demo_model();
  const std::vector<std::int32_t> ids = some_ids(80);
  const EvaluateResult stream = evaluate(*model, model.get(), ids, windows_of(32));
  const std::vector<std::vector<std::int32_t>> parts = {{ids.begin(), ids.begin() + 32},
                                                        {ids.begin() + 32, ids.begin() + 64},
                                                        {ids[0]},
                                                        {ids.begin() + 64, ids.end()}};
  const EvaluateResult found = evaluate_sequences(*model, model.get(), parts);
  EXPECT_EQ(found.nll, stream.nll);
  EXPECT_EQ(found.tokens, stream.tokens);
  EXPECT_EQ(found.windows, 3);
  EXPECT_EQ(found.context, 32);
  EXPECT_EQ(found.comparison->kld_mean, 0);
  EXPECT_THROW(evaluate_sequences(*model, nullptr, std::vector<std::vector<std::int32_t>>{}),
               Error);
  const std::vector<std::vector<std::int32_t>> too_long = {some_ids(1025)};
  EXPECT_THROW(evaluate_sequences(*model, nullptr, too_long), Error);
}

TEST(Evaluate, CancellingKeepsFinishedWindows) {
  CancelToken cancel;
  int windows = 0;
  const EvaluateResult found = evaluate(
      *test::demo_model(), nullptr, some_ids(160), windows_of(32),
      [&](const Progress&) {
        if (++windows == 3) cancel.cancel();
      },
      cancel);
  EXPECT_TRUE(found.cancelled);
  EXPECT_EQ(found.windows, 2);
  EXPECT_EQ(found.windows_planned, 5);
  EXPECT_EQ(found.tokens, 62);
  CancelToken at_once;
  at_once.cancel();
  EXPECT_THROW(evaluate(*test::demo_model(), nullptr, some_ids(64), windows_of(32), {}, at_once),
               Error);
}

TEST(Evaluate, RefusesWhatCannotBeMeasured) {
  const auto model = test::demo_model();
  EXPECT_THROW(evaluate(*model, nullptr, some_ids(1), windows_of(32)), Error);
  EXPECT_THROW(evaluate(*model, nullptr, some_ids(64), windows_of(1025)), Error);
  const auto other = test::load_fp32(test::golden_dir() / "models/mixtral");
  EXPECT_THROW(evaluate(*model, other.get(), some_ids(64), windows_of(32)), Error);
}

}  // namespace
}  // namespace haq::session
