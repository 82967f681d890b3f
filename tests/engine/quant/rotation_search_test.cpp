// SPDX-License-Identifier: GPL-3.0-or-later
#include <gmock/gmock.h>

#include <cmath>

#include "engine/base/error.h"
#include "engine/device/host/host_device.h"
#include "tests/engine/quant/pipeline_fixture.h"
#include "tests/engine/quant/transform_fixture.h"
#include "tests/support/golden.h"

namespace haq::quant {
namespace {

class RotationSearchTest : public testing::Test {
 protected:
  RotationSearch search(const std::string& name, std::span<const std::uint64_t> seeds,
                        bool allow_none, const ProgressCallback& progress = {},
                        const CancelToken& cancel = {}) {
    const auto source = model::Checkpoint::open(test::golden_model_dir(name));
    return search(source, LayerRecipe::quick(Method::kHaq, source->config()), seeds, allow_none,
                  progress, cancel);
  }
  RotationSearch search(const std::shared_ptr<const model::Checkpoint>& source,
                        const LayerRecipe& recipe, std::span<const std::uint64_t> seeds,
                        bool allow_none, const ProgressCallback& progress = {},
                        const CancelToken& cancel = {}) {
    const auto sequences = test::random_sequences(source->config(), 4, 40);
    device::HostOptions host;
    host.threads = 2;
    ThreadPool pool(2);
    return search_rotation(source, device::make_host_device(host), pool, sequences, recipe, seeds,
                           allow_none, {}, progress, cancel);
  }
  static constexpr std::array<std::uint64_t, 2> kSeeds = {3, 4};
};

TEST_F(RotationSearchTest, TriesEachSeedAndKeepsTheBest) {
  for (const std::string name : {"llama", "mixtral", "opt_125m"}) {
    const RotationSearch result = search(name, kSeeds, true);
    EXPECT_THAT(result.notices, testing::IsEmpty()) << name;
    ASSERT_EQ(result.trials.size(), 3U) << name;
    EXPECT_FALSE(result.trials[0].rotated);
    const RotationTrial* best = &result.trials[0];
    for (const RotationTrial& trial : result.trials) {
      EXPECT_GT(trial.kld, 0) << name;
      EXPECT_LT(trial.kld, 0.1) << name;
      if (trial.kld < best->kld) best = &trial;
    }
    if (!best->rotated) {
      EXPECT_EQ(result.best, nullptr) << name;
    } else if (result.best) {
      EXPECT_EQ(result.best->seed(), best->seed) << name;
    }
  }
}

/// Without smoothing, a rotation is the only thing that spreads outliers.
TEST_F(RotationSearchTest, TakesARotationWhereItHelps) {
  const test::EditedModel model("llama", test::plant_outliers);
  const RotationSearch result =
      search(model.checkpoint(), LayerRecipe::quick(Method::kGptq, model.checkpoint()->config()),
             kSeeds, true);
  ASSERT_EQ(result.trials.size(), 3U);
  ASSERT_NE(result.best, nullptr);
  EXPECT_LT(std::min(result.trials[1].kld, result.trials[2].kld), result.trials[0].kld / 2);
}

TEST_F(RotationSearchTest, WithoutTheChoiceOfNoneTheBestRotationWins) {
  const RotationSearch result = search("llama", kSeeds, false);
  ASSERT_EQ(result.trials.size(), 2U);
  ASSERT_NE(result.best, nullptr);
  EXPECT_EQ(result.best->seed(),
            result.trials[result.trials[1].kld < result.trials[0].kld ? 1 : 0].seed);
}

TEST_F(RotationSearchTest, GivesTheSameAnswerAgain) {
  const RotationSearch first = search("mixtral", kSeeds, true);
  const RotationSearch second = search("mixtral", kSeeds, true);
  for (std::size_t i = 0; i < first.trials.size(); ++i) {
    EXPECT_EQ(first.trials[i].kld, second.trials[i].kld);
  }
}

TEST_F(RotationSearchTest, ReportsLayersAndCanBeStopped) {
  std::uint64_t last = 0, total = 0;
  search("llama", kSeeds, true, [&](const Progress& progress) {
    EXPECT_GE(progress.done, last);
    last = progress.done;
    total = progress.total;
  });
  EXPECT_EQ(total, 6U * 3U);
  EXPECT_EQ(last, total - 1);
  CancelToken cancel;
  try {
    search(
        "llama", kSeeds, true,
        [&](const Progress& progress) {
          if (progress.done == 4) cancel.cancel();
        },
        cancel);
    FAIL() << "not stopped";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kCancelled);
  }
}

}  // namespace
}  // namespace haq::quant
