// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/session/bench.h"

#include <gtest/gtest.h>

#include "engine/base/error.h"
#include "tests/engine/session/session_models.h"

namespace haq::session {
namespace {

TEST(Bench, ReportsEveryMeasurement) {
  BenchOptions options;
  options.prefill = {8, 16};
  options.decode = 4;
  options.depth = 5;
  options.batch = 2;
  options.repeat = 2;
  const BenchResult found = bench(*test::demo_model(), options);
  ASSERT_EQ(found.prefill.size(), 2U);
  EXPECT_EQ(found.prefill[1].tokens, 16);
  for (const PrefillSpeed& speed : found.prefill) {
    EXPECT_GT(speed.tokens_per_s.mean, 0);
    EXPECT_GT(speed.gops, 0);
  }
  EXPECT_GT(found.decode_tokens_per_s.mean, 0);
  EXPECT_GT(found.weight_bytes_per_token, 0U);
  EXPECT_EQ(found.weight_gb_per_s, 0);  // no plain figure for a batch
  EXPECT_GT(found.kv_bytes, 0U);
  EXPECT_GT(found.peak_rss_bytes, std::uint64_t{1} << 20);
  // In fp32 mode the library has no product to compare with; one row can still be held against a
  // read.
  EXPECT_FALSE(found.roofline.empty());
  for (const RooflineRow& row : found.roofline) {
    EXPECT_EQ(row.unit, "GB/s");
    EXPECT_GT(row.reached, 0);
    EXPECT_DOUBLE_EQ(row.share, row.reached / row.peak);
  }
  EXPECT_FALSE(found.cancelled);
}

TEST(Bench, ASingleSequenceHasABandwidthAndItsShareOfTheMachines) {
  BenchOptions options;
  options.prefill.clear();
  options.decode = 4;
  options.repeat = 1;
  const BenchResult found = bench(*test::demo_model(), options);
  EXPECT_NEAR(
      found.weight_gb_per_s,
      static_cast<double>(found.weight_bytes_per_token) * found.decode_tokens_per_s.mean / 1e9,
      1e-9);
  // The demo model's head is too small to be searched.
  EXPECT_EQ(found.head_bytes_per_token, test::demo_model()->decoder().stats().head_bytes);
  EXPECT_GT(found.read_gb_per_s, 0);
  EXPECT_NEAR(found.decode_share, found.weight_gb_per_s / found.read_gb_per_s, 1e-9);
}

TEST(Bench, ComparesDecodeByTurns) {
  BenchOptions options;
  options.decode = 20;  // the last turn is shorter
  options.repeat = 2;
  const auto model = test::demo_model();
  int reports = 0;
  const MeanStd ratio =
      compare_decode(*model, *test::load_fp32(test::demo_folder()), options,
                     [&](const Progress& progress) { reports += progress.total == 3 ? 1 : 0; });
  EXPECT_EQ(reports, 3);
  EXPECT_GT(ratio.mean, 0);
  CancelToken cancel;
  cancel.cancel();
  EXPECT_THROW(compare_decode(*model, *model, options, {}, cancel), Error);
}

TEST(Bench, RefusesWhatDoesNotFitTheContext) {
  BenchOptions options;
  options.prefill = {1000};
  options.depth = 100;
  EXPECT_THROW(bench(*test::demo_model(), options), Error);
  options.prefill = {8};
  options.batch = 0;
  EXPECT_THROW(bench(*test::demo_model(), options), Error);
}

TEST(Bench, CanBeCancelled) {
  BenchOptions options;
  options.prefill = {8};
  CancelToken cancel;
  cancel.cancel();
  EXPECT_THROW(bench(*test::demo_model(), options, {}, cancel), Error);
}

}  // namespace
}  // namespace haq::session
