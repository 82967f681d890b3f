// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/quant/arithmetic/smoothing.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/base/error.h"
#include "engine/quant/arithmetic/rounding.h"
#include "tests/engine/quant/quant_test_support.h"

namespace haq::quant {
namespace {

using test::random_matrix;

std::vector<float> channel_maxima(const Matrix& x) {
  std::vector<float> maxima(static_cast<std::size_t>(x.cols));
  for (std::int64_t r = 0; r < x.rows; ++r) {
    for (std::size_t j = 0; j < maxima.size(); ++j) {
      maxima[j] = std::max(maxima[j], std::abs(x.row(r)[j]));
    }
  }
  return maxima;
}

Matrix with_columns_times(const Matrix& m, const std::vector<float>& factor, bool divide) {
  Matrix result = m;
  for (std::int64_t r = 0; r < m.rows; ++r) {
    for (std::size_t j = 0; j < factor.size(); ++j) {
      result.row(r)[j] *= divide ? 1.0F / factor[j] : factor[j];
    }
  }
  return result;
}

/// The definition, through the plain functions of rounding.h.
OutputError direct_error(const Matrix& x, const Matrix& w, const std::vector<float>& s) {
  Matrix x_hat = with_columns_times(x, s, true);
  round_activations(x_hat);
  const Matrix w_hat = dequantize(round_to_nearest(with_columns_times(w, s, false)));
  return output_error(x, w, x_hat, w_hat);
}

/// One reader whose input has two channels fifty times louder than the others.
struct Planted {
  Matrix x = random_matrix(40, 96, 1), w = random_matrix(200, 96, 2);
  SmoothingProblem problem;
  Planted() {
    for (std::int64_t r = 0; r < x.rows; ++r) {
      x.row(r)[7] *= 50;
      x.row(r)[90] *= 50;
    }
    problem.readers = {{w, x, 1}};
    problem.activation_max = channel_maxima(x);
  }
};

TEST(Smoothing, AlphaScaleFollowsTheFormula) {
  const Planted planted;
  const std::vector<float> w_max = channel_maxima(planted.w);
  const std::vector<float> s = alpha_scale(planted.problem, 0.3);
  double mean = 0;
  for (std::size_t j = 0; j < 96; ++j) mean += std::log(static_cast<double>(s[j])) / 96;
  EXPECT_NEAR(mean, 0, 1e-6);
  for (std::size_t j = 1; j < 96; ++j) {
    const double want =
        0.3 * std::log(planted.problem.activation_max[j] / planted.problem.activation_max[0]) -
        0.7 * std::log(w_max[j] / w_max[0]);
    ASSERT_NEAR(std::log(s[j] / s[0]), want, 1e-5);
  }
}

TEST(Smoothing, ThresholdScaleTouchesTheLoudChannelsAlone) {
  const Planted planted;
  // Half-way between the largest maximum (about 130) and the median one (about 2.5) only the
  // planted channels lie above: all others share one factor.
  const std::vector<float> s = threshold_scale(planted.problem, 0.5);
  const std::vector<float>& a = planted.problem.activation_max;
  for (std::size_t j = 0; j < 96; ++j) {
    if (j != 7 && j != 90) {
      ASSERT_EQ(s[j], s[0]);
    }
  }
  const float largest = std::max(a[7], a[90]);
  std::vector<float> sorted = a;
  std::sort(sorted.begin(), sorted.end());
  const double threshold = std::sqrt(static_cast<double>(largest) * sorted[48]);
  EXPECT_NEAR(s[7] / s[0], a[7] / threshold, 1e-3);
  EXPECT_NEAR(s[90] / s[0], a[90] / threshold, 1e-3);
  for (const float v : threshold_scale(planted.problem, 0)) EXPECT_NEAR(v, 1, 1e-6);
}

TEST(Smoothing, SilentAndUnreadChannelsKeepOneAndScalesStayInBounds) {
  Planted planted;
  planted.problem.activation_max[3] = 0;
  for (std::int64_t r = 0; r < planted.w.rows; ++r) planted.w.row(r)[5] = 0;
  planted.problem.activation_max[10] = 1e30F;
  planted.problem.activation_max[11] = 1e-30F;
  for (const auto& s : {alpha_scale(planted.problem, 1), threshold_scale(planted.problem, 1)}) {
    EXPECT_EQ(s[3], 1);
    EXPECT_EQ(s[5], 1);
    for (const float v : s) {
      EXPECT_GE(v, 0x1p-16F);
      EXPECT_LE(v, 0x1p16F);
    }
  }
  planted.problem.activation_max[11] = std::numeric_limits<float>::infinity();
  EXPECT_THROW(alpha_scale(planted.problem, 0.5), Error);
}

TEST(Smoothing, TheErrorIsThatOfTheDefinition) {
  const Planted planted;
  ThreadPool pool(2);
  for (const double alpha : {0.0, 0.4, 1.0}) {
    const SmoothingChoice choice =
        search_smoothing(planted.problem, SmoothingOptions::fixed(alpha), pool);
    EXPECT_EQ(choice.kind, SmoothingKind::kAlpha);
    EXPECT_EQ(choice.alpha, alpha);
    EXPECT_EQ(choice.scale, alpha_scale(planted.problem, alpha));
    const OutputError direct = direct_error(planted.x, planted.w, choice.scale);
    EXPECT_NEAR(choice.error / direct.relative(), 1, 1e-3);
    const OutputError none = direct_error(planted.x, planted.w, std::vector<float>(96, 1.0F));
    EXPECT_NEAR(choice.error_none / none.relative(), 1, 1e-3);
  }
}

TEST(Smoothing, RepairsPlantedOutliers) {
  const Planted planted;
  ThreadPool pool(2);
  const SmoothingChoice choice = search_smoothing(planted.problem, SmoothingOptions::full(), pool);
  EXPECT_NE(choice.kind, SmoothingKind::kNone);
  EXPECT_LT(choice.error, 0.2 * choice.error_none);
  EXPECT_GT(choice.scale[7], 3 * choice.scale[8]);
  // It is the best of all candidates.
  for (const double alpha : SmoothingOptions::full().alphas) {
    EXPECT_LE(
        choice.error,
        1.001 * direct_error(planted.x, planted.w, alpha_scale(planted.problem, alpha)).relative());
  }
  for (const double position : SmoothingOptions::full().thresholds) {
    EXPECT_LE(choice.error,
              1.001 * direct_error(planted.x, planted.w, threshold_scale(planted.problem, position))
                          .relative());
  }
}

TEST(Smoothing, NoneWinsWhenNothingHelps) {
  // Values that int8 holds exactly: no candidate can be better than no error.
  Matrix x = random_matrix(30, 16, 3), w = random_matrix(20, 16, 4);
  for (Matrix* m : {&x, &w}) {
    for (float& v : m->values) v = std::clamp(std::nearbyint(40 * v), -127.0F, 127.0F);
    for (std::int64_t r = 0; r < m->rows; ++r) m->row(r)[0] = 127;
  }
  SmoothingProblem problem;
  problem.readers = {{w, x, 1}};
  problem.activation_max = channel_maxima(x);
  ThreadPool pool(1);
  const SmoothingChoice choice = search_smoothing(problem, SmoothingOptions::full(), pool);
  EXPECT_EQ(choice.kind, SmoothingKind::kNone);
  EXPECT_EQ(choice.scale, std::vector<float>(16, 1.0F));
  EXPECT_EQ(choice.error, choice.error_none);
  EXPECT_LT(choice.error, 1e-10);
  const SmoothingChoice forced = search_smoothing(problem, SmoothingOptions::fixed(0.5), pool);
  EXPECT_EQ(forced.kind, SmoothingKind::kAlpha);
  EXPECT_GT(forced.error, forced.error_none);
}

TEST(Smoothing, TiedChannelsShareAFactor) {
  Planted planted;
  planted.problem.factors = 24;
  for (std::int32_t j = 0; j < 96; ++j) planted.problem.ties.push_back(j % 24);
  const std::vector<float> s = alpha_scale(planted.problem, 1);
  ASSERT_EQ(s.size(), 24U);
  // With α = 1 the factor is the loudest channel's: 7 and 90 (18 mod 24) are the planted ones.
  for (std::size_t f = 0; f < 24; ++f) {
    float want = 0;
    for (std::size_t j = f; j < 96; j += 24) {
      want = std::max(want, planted.problem.activation_max[j]);
    }
    EXPECT_NEAR(
        s[f] / s[0] *
            std::max({planted.problem.activation_max[0], planted.problem.activation_max[24],
                      planted.problem.activation_max[48], planted.problem.activation_max[72]}),
        want, 1e-3 * want);
  }
  ThreadPool pool(2);
  const SmoothingChoice choice = search_smoothing(planted.problem, SmoothingOptions::full(), pool);
  EXPECT_LT(choice.error, choice.error_none);
  std::vector<float> channels(96);
  for (std::size_t j = 0; j < 96; ++j) channels[j] = choice.scale[j % 24];
  EXPECT_NEAR(choice.error / direct_error(planted.x, planted.w, channels).relative(), 1, 1e-3);
}

/// Experts with samples of their own, and linears that share one.
struct ManyReaders {
  std::vector<Matrix> samples, weights;
  SmoothingProblem problem;
  ManyReaders() {
    problem.activation_max.assign(48, 0);
    for (unsigned i = 0; i < 6; ++i) {
      samples.push_back(random_matrix(5 + 3 * i, 48, 10 + i));
      for (std::int64_t r = 0; r < samples.back().rows; ++r) samples.back().row(r)[i] *= 20;
      const std::vector<float> maxima = channel_maxima(samples.back());
      for (std::size_t j = 0; j < 48; ++j) {
        problem.activation_max[j] = std::max(problem.activation_max[j], maxima[j]);
      }
      weights.push_back(random_matrix(600 + i, 48, 20 + i));
      weights.push_back(random_matrix(30 + i, 48, 30 + i));
    }
    for (std::size_t i = 0; i < weights.size(); ++i) {
      problem.readers.push_back({weights[i], samples[i / 2], 0.5 + static_cast<double>(i)});
    }
  }
};

TEST(Smoothing, SumsWeightedErrorsOfAllReaders) {
  const ManyReaders many;
  ThreadPool pool(2);
  const SmoothingChoice choice = search_smoothing(many.problem, SmoothingOptions::fixed(0.6), pool);
  OutputError want;
  for (std::size_t i = 0; i < many.weights.size(); ++i) {
    OutputError one = direct_error(many.samples[i / 2], many.weights[i], choice.scale);
    want.add(
        {one.error * many.problem.readers[i].weight, one.signal * many.problem.readers[i].weight});
  }
  EXPECT_NEAR(choice.error / want.relative(), 1, 1e-3);
}

TEST(Smoothing, ThreadsChangeNoBit) {
  const ManyReaders many;
  ThreadPool one(1), three(3);
  const SmoothingChoice a = search_smoothing(many.problem, SmoothingOptions::full(), one);
  const SmoothingChoice b = search_smoothing(many.problem, SmoothingOptions::full(), three);
  EXPECT_EQ(a.kind, b.kind);
  EXPECT_EQ(a.alpha, b.alpha);
  EXPECT_EQ(a.threshold, b.threshold);
  EXPECT_EQ(a.scale, b.scale);
  EXPECT_EQ(a.error, b.error);
  EXPECT_EQ(a.error_none, b.error_none);
}

TEST(Smoothing, ReadersBeyondTheMemoryBudgetAreTakenInTurn) {
  // Two references of 40 MiB: the second is computed after the first is gone.
  const Matrix x = random_matrix(256, 8, 5), w = random_matrix(40960, 8, 6);
  SmoothingProblem problem;
  problem.readers = {{w, x, 1}, {w, x, 1}};
  problem.activation_max = channel_maxima(x);
  ThreadPool pool(2);
  const SmoothingChoice two = search_smoothing(problem, SmoothingOptions::fixed(0.5), pool);
  problem.readers.pop_back();
  const SmoothingChoice single = search_smoothing(problem, SmoothingOptions::fixed(0.5), pool);
  EXPECT_NEAR(two.error / single.error, 1, 1e-12);
}

TEST(Smoothing, NothingSampledMeansNoSmoothing) {
  Planted planted;
  planted.problem.readers[0].rows.rows = 0;
  ThreadPool pool(1);
  const SmoothingChoice choice = search_smoothing(planted.problem, SmoothingOptions::full(), pool);
  EXPECT_EQ(choice.kind, SmoothingKind::kNone);
  EXPECT_EQ(choice.error, 0);
}

TEST(Smoothing, BadInputIsRefused) {
  Planted planted;
  ThreadPool pool(2);
  SmoothingOptions nothing;
  nothing.allow_none = false;
  EXPECT_THROW(search_smoothing(planted.problem, nothing, pool), Error);

  CancelToken cancelled;
  cancelled.cancel();
  try {
    search_smoothing(planted.problem, SmoothingOptions::full(), pool, cancelled);
    FAIL() << "not cancelled";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kCancelled);
  }

  SmoothingProblem narrow = planted.problem;
  narrow.activation_max.pop_back();
  EXPECT_THROW(search_smoothing(narrow, SmoothingOptions::full(), pool), Error);
  SmoothingProblem untied = planted.problem;
  untied.ties.assign(96, 3);
  untied.factors = 3;
  EXPECT_THROW(search_smoothing(untied, SmoothingOptions::full(), pool), Error);

  for (Matrix* m : {&planted.x, &planted.w}) {
    const float before = m->values[17];
    m->values[17] = std::numeric_limits<float>::quiet_NaN();
    try {
      search_smoothing(planted.problem, SmoothingOptions::full(), pool);
      FAIL() << "accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kNumeric);
    }
    m->values[17] = before;
  }
}

TEST(Smoothing, NamesOfKinds) {
  EXPECT_STREQ(to_string(SmoothingKind::kNone), "none");
  EXPECT_STREQ(to_string(SmoothingKind::kAlpha), "alpha");
  EXPECT_STREQ(to_string(SmoothingKind::kThreshold), "threshold");
}

}  // namespace
}  // namespace haq::quant
