// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/session/sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>
#include <random>

#include "engine/base/error.h"
#include "tests/support/paths.h"

namespace haq::session {
namespace {

using nlohmann::json;

std::vector<float> logits_of(const json& row) {
  std::vector<float> logits;
  for (const json& value : row.at("logits")) {
    logits.push_back(value.is_string() ? -std::numeric_limits<float>::infinity()
                                       : value.get<float>());
  }
  return logits;
}

SamplingOptions options_of(const json& row) {
  SamplingOptions options;
  options.temperature = row.value("temperature", 1.0F);
  options.top_k = row.value("top_k", 0);
  options.top_p = row.value("top_p", 1.0F);
  options.min_p = row.value("min_p", 0.0F);
  options.repetition_penalty = row.value("repetition_penalty", 1.0F);
  return options;
}

TEST(Sampler, AgreesWithEveryReferenceRow) {
  std::ifstream file(haq::test::golden_dir() / "sampling.jsonl");
  std::string line;
  int rows = 0, ambiguous = 0;
  while (std::getline(file, line)) {
    const json row = json::parse(line);
    SCOPED_TRACE("row " + std::to_string(rows) + " " + row.at("logits_name").get<std::string>());
    ++rows;
    const auto history = row.at("history").get<std::vector<std::int32_t>>();
    const auto expected = row.at("probs").get<std::vector<double>>();
    const std::vector<float> found = distribution(logits_of(row), history, options_of(row));
    ASSERT_EQ(found.size(), expected.size());
    const auto kept = std::count_if(found.begin(), found.end(), [](float p) { return p > 0; });
    if (row.at("ambiguous_cut").get<bool>()) {
      // Ties: the cut depends on the sort, so compare the probabilities as a sorted list.
      ++ambiguous;
      EXPECT_NEAR(static_cast<double>(kept), row.at("kept").get<double>(), 1);
      EXPECT_NEAR(std::accumulate(found.begin(), found.end(), 0.0), 1.0, 1e-6);
      continue;
    }
    EXPECT_EQ(kept, row.at("kept").get<int>());
    for (std::size_t i = 0; i < found.size(); ++i) {
      // The reference was computed in float32 and printed with seven digits: agree to one unit of
      // the seventh.
      const double unit =
          expected[i] > 0 ? std::pow(10.0, std::floor(std::log10(expected[i])) - 6) : 0;
      EXPECT_NEAR(found[i], expected[i], unit + 2.4e-7 * expected[i] + 1.5e-45) << "token " << i;
    }
  }
  EXPECT_EQ(rows, 231);
  EXPECT_LT(ambiguous, rows / 4);
}

TEST(Sampler, TheDecidingLogitsAreEnough) {
  std::mt19937 generator(3);
  std::normal_distribution<float> normal(0, 3);
  for (const auto& [temperature, top_k] :
       {std::pair{0.0F, 0}, std::pair{1.0F, 1}, std::pair{0.7F, 20}, std::pair{2.0F, 64}}) {
    SamplingOptions options;
    options.temperature = temperature;
    options.top_k = top_k;
    options.top_p = 0.95F;
    const int wanted = deciding_logits(options);
    ASSERT_EQ(wanted, temperature == 0 ? 1 : top_k);
    Sampler of_all(options), of_some(options);
    for (int row = 0; row < 200; ++row) {
      std::vector<float> logits(500);
      // Few distinct values: ties are common.
      for (float& value : logits) value = std::round(normal(generator) * 4) / 4;
      std::vector<float> sorted = logits;
      std::sort(sorted.begin(), sorted.end(), std::greater<>());
      std::vector<float> some = logits;
      for (float& value : some) {
        if (value < sorted[static_cast<std::size_t>(wanted) - 1]) {
          value = -std::numeric_limits<float>::infinity();
        }
      }
      EXPECT_EQ(of_some.draw(some, {}), of_all.draw(logits, {}));
    }
  }
  SamplingOptions options;
  options.temperature = 1;
  EXPECT_EQ(deciding_logits(options), 0);
  options.top_k = 40;
  options.repetition_penalty = 1.2F;
  EXPECT_EQ(deciding_logits(options), 0);
}

TEST(Sampler, GreedyTakesTheLowestIdOnTies) {
  Sampler sampler(SamplingOptions{});
  EXPECT_EQ(sampler.draw(std::vector<float>{0, 3, 1, 3}, {}), 1);
}

TEST(Sampler, GreedyHonoursTheRepetitionPenaltyOncePerToken) {
  SamplingOptions options;
  options.repetition_penalty = 2;
  Sampler sampler(options);
  const std::vector<float> logits{4, 3, -1, -1.5F};
  EXPECT_EQ(sampler.draw(logits, std::vector<std::int32_t>{0, 0, 0}), 1);
  // 4 / 2 = 2 and not 4 / 8 = 0.5, which would fall behind 3 / 2 = 1.5.
  EXPECT_EQ(sampler.draw(logits, std::vector<std::int32_t>{0, 0, 0, 1}), 0);
}

TEST(Sampler, SameSeedSameStreamOtherSeedOtherStream) {
  SamplingOptions options;
  options.temperature = 1;
  const std::vector<float> logits(64, 0.0F);
  const auto stream = [&](std::uint64_t seed) {
    options.seed = seed;
    Sampler sampler(options);
    std::vector<std::int32_t> ids;
    for (int i = 0; i < 32; ++i) ids.push_back(sampler.draw(logits, {}));
    return ids;
  };
  EXPECT_EQ(stream(7), stream(7));
  EXPECT_NE(stream(7), stream(8));
}

TEST(Sampler, GeneratorIsXoshiro256ppSeededBySplitmix64) {
  // With 2^10 equally likely tokens a draw shows the top ten bits of the generator's output. The
  // outputs for seed 0 follow from the published definitions of the two generators:
  // xoshiro256++ on the first four splitmix64 words e220a8397b1dcdaf, 6e789e6aa1b965f4,
  // 06c45d188009454f, f88bb8a8724c81ec gives 53175d61490b23df first.
  SamplingOptions options;
  options.temperature = 1;
  Sampler sampler(options);
  EXPECT_EQ(sampler.draw(std::vector<float>(1024, 0.0F), {}), 0x53175d61490b23dfULL >> 54);
}

TEST(Sampler, FrequenciesFollowTheDistribution) {
  SamplingOptions options;
  options.temperature = 1;
  const std::vector<float> logits{std::log(0.5F), std::log(0.3F), std::log(0.2F)};
  Sampler sampler(options);
  std::vector<double> counts(3, 0);
  constexpr int kDraws = 20000;
  for (int i = 0; i < kDraws; ++i) ++counts[static_cast<std::size_t>(sampler.draw(logits, {}))];
  // Five standard errors of a proportion.
  for (std::size_t i = 0; i < 3; ++i) {
    const double p = std::exp(static_cast<double>(logits[i]));
    EXPECT_NEAR(counts[i] / kDraws, p, 5 * std::sqrt(p * (1 - p) / kDraws));
  }
}

TEST(Sampler, TopPKeepsOneTokenAtLeastAndScalesToLargeVocabularies) {
  SamplingOptions options;
  options.temperature = 1;
  options.top_p = 1e-6F;
  std::vector<float> logits(150000, -5.0F);
  logits[777] = 2;
  const std::vector<float> found = distribution(logits, {}, options);
  EXPECT_EQ(found[777], 1.0F);
}

TEST(Sampler, RefusesValuesOutsideTheirRanges) {
  const auto refuses = [](auto change, const char* name) {
    SamplingOptions options;
    change(options);
    try {
      options.check();
      ADD_FAILURE() << name << " was accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
      EXPECT_THAT(error.what(), testing::HasSubstr(name));
    }
  };
  refuses([](SamplingOptions& o) { o.temperature = -1; }, "temperature");
  refuses([](SamplingOptions& o) { o.temperature = NAN; }, "temperature");
  refuses([](SamplingOptions& o) { o.top_k = -1; }, "top-k");
  refuses([](SamplingOptions& o) { o.top_p = 0; }, "top-p");
  refuses([](SamplingOptions& o) { o.min_p = 1.5F; }, "min-p");
  refuses([](SamplingOptions& o) { o.repetition_penalty = 0; }, "repeat-penalty");
}

TEST(Sampler, RefusesLogitsThatAreNotFinite) {
  Sampler sampler(SamplingOptions{});
  EXPECT_THROW(sampler.draw(std::vector<float>{0, NAN}, {}), Error);
  EXPECT_THROW(sampler.draw(std::vector<float>{0, INFINITY}, {}), Error);
  EXPECT_THROW(sampler.draw(std::vector<float>{-INFINITY, -INFINITY}, {}), Error);
  SamplingOptions penalty;
  penalty.repetition_penalty = 1.5F;
  EXPECT_THROW(Sampler(penalty).draw(std::vector<float>{0, 1}, std::vector<std::int32_t>{9}),
               Error);
}

}  // namespace
}  // namespace haq::session
