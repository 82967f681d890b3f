// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/quant/layers/input_statistics.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <set>

#include "engine/base/error.h"
#include "engine/quant/layers/activation_store.h"
#include "engine/quant/layers/expert_quantizer.h"
#include "tests/engine/quant/quant_test_support.h"
#include "tests/support/paths.h"

namespace haq::quant {
namespace {

InputStatistics observe(const Matrix& rows, std::int64_t piece, int threads,
                        std::span<const std::int64_t> sampled) {
  ThreadPool pool(threads);
  InputObserver observer(rows.cols, rows.rows, sampled, true, pool);
  for (std::int64_t first = 0; first < rows.rows; first += piece) {
    observer.add(rows.row(first).data(), std::min(piece, rows.rows - first), rows.cols);
  }
  return observer.finish();
}

TEST(InputObserver, FindsMaximaHessianAndSample) {
  // More than one block of rows, more than one panel of channels, neither a round number.
  const Matrix rows = test::correlated_rows(1100, 300, 1);
  const std::vector<std::int64_t> sampled = sample_rows(rows.rows, 40, 7);
  const InputStatistics found = observe(rows, 37, 2, sampled);
  EXPECT_EQ(found.tokens, rows.rows);
  const Matrix expected = test::hessian_of(rows);
  double error = 0, signal = 0;
  for (std::size_t i = 0; i < expected.values.size(); ++i) {
    error += std::pow(found.hessian.values[i] - expected.values[i], 2);
    signal += std::pow(expected.values[i], 2);
  }
  EXPECT_LT(std::sqrt(error / signal), 1e-6);
  for (std::int64_t j = 0; j < rows.cols; ++j) {
    float most = 0;
    for (std::int64_t r = 0; r < rows.rows; ++r) {
      most = std::max(most, std::abs(rows.row(r)[static_cast<std::size_t>(j)]));
    }
    EXPECT_EQ(found.channel_max[static_cast<std::size_t>(j)], most);
  }
  ASSERT_EQ(found.sample.rows, 40);
  for (std::int64_t i = 0; i < found.sample.rows; ++i) {
    const auto from = rows.row(sampled[static_cast<std::size_t>(i)]);
    EXPECT_TRUE(std::equal(from.begin(), from.end(), found.sample.row(i).begin()));
  }
}

TEST(InputObserver, PiecesAndThreadsDoNotChangeABit) {
  const Matrix rows = test::correlated_rows(1300, 290, 2);
  const std::vector<std::int64_t> sampled = sample_rows(rows.rows, 64, 1);
  const InputStatistics expected = observe(rows, rows.rows, 1, sampled);
  for (const std::int64_t piece : {1, 7, 512, 700}) {
    for (const int threads : {1, 3}) {
      const InputStatistics found = observe(rows, piece, threads, sampled);
      EXPECT_EQ(found.hessian.values, expected.hessian.values);
      EXPECT_EQ(found.channel_max, expected.channel_max);
      EXPECT_EQ(found.sample.values, expected.sample.values);
    }
  }
}

TEST(InputObserver, MissesRowsThatDidNotCome) {
  ThreadPool pool(1);
  InputObserver observer(4, 10, {}, true, pool);
  const Matrix rows = test::random_matrix(9, 4, 3);
  observer.add(rows.data(), rows.rows, rows.cols);
  EXPECT_THROW(observer.finish(), Error);
}

TEST(InputStatistics, DividingIsAsIfTheRowsHadBeenDivided) {
  Matrix rows = test::correlated_rows(200, 24, 5);
  const std::vector<std::int64_t> sampled = sample_rows(rows.rows, 20, 3);
  InputStatistics divided = observe(rows, 50, 1, sampled);
  std::vector<float> factor(24);
  for (std::size_t j = 0; j < factor.size(); ++j) {
    factor[j] = std::exp2(static_cast<float>(j) / 6 - 2);
  }
  divided.divide(factor);
  for (std::int64_t r = 0; r < rows.rows; ++r) {
    for (std::size_t j = 0; j < factor.size(); ++j) rows.row(r)[j] /= factor[j];
  }
  const InputStatistics expected = observe(rows, 50, 1, sampled);
  EXPECT_EQ(divided.sample.values, expected.sample.values);
  EXPECT_EQ(divided.channel_max, expected.channel_max);
  for (std::int64_t i = 0; i < 24; ++i) {
    for (std::int64_t j = 0; j < 24; ++j) {
      const auto at = static_cast<std::size_t>(i * 24 + j);
      const float scale = expected.channel_max[static_cast<std::size_t>(i)] *
                          expected.channel_max[static_cast<std::size_t>(j)];
      EXPECT_NEAR(divided.hessian.values[at], expected.hessian.values[at], 1e-5 * scale);
    }
  }
}

TEST(SampleRows, AreDistinctSortedAndSpread) {
  const std::vector<std::int64_t> rows = sample_rows(10000, 1000, 11);
  ASSERT_EQ(rows.size(), 1000U);
  EXPECT_TRUE(std::is_sorted(rows.begin(), rows.end()));
  EXPECT_EQ(std::set<std::int64_t>(rows.begin(), rows.end()).size(), rows.size());
  EXPECT_GE(rows.front(), 0);
  EXPECT_LT(rows.back(), 10000);
  const auto below = std::count_if(rows.begin(), rows.end(), [](auto row) { return row < 5000; });
  EXPECT_NEAR(static_cast<double>(below), 500, 80);
  EXPECT_EQ(rows, sample_rows(10000, 1000, 11));
  EXPECT_NE(rows, sample_rows(10000, 1000, 12));
  EXPECT_EQ(sample_rows(3, 5, 1), (std::vector<std::int64_t>{0, 1, 2}));
}

TEST(RowsByExpert, SortsTokensAndAddsAShareOfAllOnce) {
  constexpr int kTokens = 400, kExperts = 5;
  std::vector<std::int32_t> ids;  // two of experts 0 ... 3; nobody chooses expert 4
  for (int token = 0; token < kTokens; ++token) {
    ids.push_back(token % 4);
    ids.push_back((token / 4 + token + 1) % 4 == token % 4 ? (token + 2) % 4
                                                           : (token / 4 + token + 1) % 4);
  }
  const auto rows = rows_by_expert(ids, kExperts, 2, 0.125, 3);
  ASSERT_EQ(rows.size(), static_cast<std::size_t>(kExperts));
  std::size_t routed = 0;
  for (const ExpertRows& expert : rows) {
    routed += expert.routed.size();
    EXPECT_TRUE(std::is_sorted(expert.routed.begin(), expert.routed.end()));
    for (const std::int64_t row : expert.extra) {
      EXPECT_FALSE(std::binary_search(expert.routed.begin(), expert.routed.end(), row));
    }
  }
  EXPECT_EQ(routed, ids.size());
  EXPECT_EQ(rows[4].extra.size(), static_cast<std::size_t>(kTokens / 8));
  EXPECT_EQ(typical_rows(rows[4]), rows[4].extra);
  EXPECT_EQ(typical_rows(rows[0]), rows[0].routed) << "enough tokens of its own";
  EXPECT_EQ(expert_sample(rows[0], 0).size(), static_cast<std::size_t>(kExpertSampleRows));

  const auto without_share = rows_by_expert(ids, kExperts, 2, 0, 3);
  EXPECT_TRUE(without_share[0].extra.empty());
  EXPECT_EQ(without_share[4].extra.size(), static_cast<std::size_t>(kExpertSampleRows));
}

TEST(ActivationStore, SpilledAndHeldRowsAreTheSame) {
  const haq::test::TempDir dir;
  ActivationStore held(1000, 33, SIZE_MAX, dir.path());
  ActivationStore spilled(1000, 33, 1000, dir.path());
  EXPECT_FALSE(held.spilled());
  EXPECT_TRUE(spilled.spilled());
  EXPECT_TRUE(std::filesystem::is_empty(dir.path())) << "the file has no name";
  for (ActivationStore* store : {&held, &spilled}) {
    EXPECT_EQ(store->row(999)[32], 0.0F);
    for (std::int64_t r = 0; r < 1000; ++r) {
      for (std::int64_t j = 0; j < 33; ++j) store->row(r)[j] = static_cast<float>(r * 33 + j);
    }
    store->release(0, 1000);
    store->release(5, 1);
    for (std::int64_t r = 0; r < 1000; ++r) {
      ASSERT_EQ(store->row(r)[32], static_cast<float>(r * 33 + 32));
    }
  }
}

TEST(ActivationStore, SaysWhyItCannotSpill) {
  const haq::test::TempDir dir;
  EXPECT_THROW(ActivationStore(10, 10, 0, dir.path() / "missing"), Error);
  try {
    ActivationStore(std::int64_t{1} << 40, 1024, 0, dir.path());
    FAIL() << "4 PiB were there";
  } catch (const Error& error) {
    EXPECT_TRUE(error.code() == ErrorCode::kNoSpace || error.code() == ErrorCode::kIo)
        << error.what();
  }
}

}  // namespace
}  // namespace haq::quant
