// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/quant/arithmetic/rounding.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <memory>

#include "engine/base/error.h"
#include "engine/device/host/host_device.h"
#include "tests/engine/quant/quant_test_support.h"
#include "tests/support/quantized_folder.h"

namespace haq::quant {
namespace {

using test::random_matrix;

/// What the integer path of the host device makes of the rows: an identity as int8 weights with
/// scale 1 gives every quantized activation back, dequantized.
Matrix through_device(const Matrix& rows) {
  auto identity =
      std::make_shared<std::vector<std::int8_t>>(static_cast<std::size_t>(rows.cols * rows.cols));
  for (std::int64_t i = 0; i < rows.cols; ++i) {
    (*identity)[static_cast<std::size_t>(i * rows.cols + i)] = 1;
  }
  LinearWeights weights;
  weights.weight.dtype = DType::kI8;
  weights.weight.rows = weights.weight.cols = rows.cols;
  weights.weight.data = reinterpret_cast<const std::byte*>(identity->data());
  weights.weight.owner = identity;
  weights.scale.assign(static_cast<std::size_t>(rows.cols), 1.0F);
  device::HostOptions options;
  options.threads = 1;
  const auto host = device::make_host_device(options);
  const auto linear = host->prepare(weights, device::LinearPath::kInt8, "identity");
  Matrix out(rows.rows, rows.cols);
  const device::Device::LinearCall call{linear.get(), {out.data(), out.rows, out.cols, out.cols}};
  host->linear({rows.data(), rows.rows, rows.cols, rows.cols}, {&call, 1});
  host->synchronize();
  return out;
}

TEST(Rounding, ActivationsHaveTheBitsOfTheRuntime) {
  for (const std::int64_t cols : {1, 31, 64, 200}) {
    Matrix rows = random_matrix(12, cols, static_cast<unsigned>(cols));
    rows.row(1)[0] = 1e4F;                                  // a hot channel
    for (float& v : rows.row(2)) v = 0;                     // silence
    for (float& v : rows.row(3)) v *= 0x1p-110F;            // below the smallest scale
    for (float& v : rows.row(4)) v = v < 0 ? -2.5F : 2.5F;  // all at the limit
    for (float& v : rows.row(5)) v *= 1e-30F;
    for (std::size_t i = 0; i < rows.row(6).size(); ++i) {  // halves of a quantum
      rows.row(6)[i] = i == 0 ? 127.0F : static_cast<float>(i % 100) + 0.5F;
    }
    const Matrix want = through_device(rows);
    round_activations(rows);
    for (std::size_t i = 0; i < rows.values.size(); ++i) {
      ASSERT_EQ(rows.values[i], want.values[i]) << i / static_cast<std::size_t>(cols);
    }
  }
}

TEST(Rounding, NonFiniteActivationsAreRefused) {
  for (const float bad :
       {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
    Matrix rows = random_matrix(3, 40, 1);
    rows.row(2)[39] = bad;
    EXPECT_THROW(round_activations(rows), Error);
  }
}

TEST(Rounding, WeightsMatchTheReference) {
  const Matrix w = random_matrix(50, 333, 2, 0.02F);
  const QuantizedMatrix rounded = round_to_nearest(w);
  const haq::test::RoundedMatrix want = haq::test::round_matrix(w.values, w.rows, w.cols);
  EXPECT_EQ(rounded.scales, want.scales);
  for (std::size_t i = 0; i < w.values.size(); ++i) {
    // The reference divides by the scale, the contract multiplies by 127 / max: equal but for ties.
    const double exact = w.values[i] / static_cast<double>(want.scales[i / 333]);
    const bool tie = std::abs(std::abs(exact - std::trunc(exact)) - 0.5) < 1e-4;
    ASSERT_LE(std::abs(rounded.values[i] - want.values[i]), tie ? 1 : 0);
  }
}

TEST(Rounding, RowsOfNothingHaveScaleOneAndZeros) {
  Matrix w = random_matrix(3, 5, 3);
  for (float& v : w.row(0)) v = 0;
  for (float& v : w.row(1)) v = 0x1p-101F;
  const QuantizedMatrix rounded = round_to_nearest(w);
  EXPECT_EQ(rounded.scales[0], 1);
  EXPECT_EQ(rounded.scales[1], 1);
  for (std::size_t i = 0; i < 10; ++i) EXPECT_EQ(rounded.values[i], 0);
  EXPECT_NE(rounded.scales[2], 1);
}

TEST(Rounding, GivenScalesClampAndRoundHalfToEven) {
  Matrix w(2, 4);
  w.values = {0.5F, 1.5F, -2.5F, 1000.0F, 0.25F, -0.75F, -80.0F, 0.0F};
  const QuantizedMatrix rounded = round_to_scales(w, std::vector<float>{1.0F, 0.5F});
  EXPECT_EQ(rounded.values, (std::vector<std::int8_t>{0, 2, -2, 127, 0, -2, -127, 0}));
  EXPECT_EQ(rounded.scales, (std::vector<float>{1.0F, 0.5F}));
  const Matrix wide = dequantize(rounded);
  EXPECT_EQ(wide.values, (std::vector<float>{0, 2, -2, 127, 0, -1, -63.5F, 0}));
}

TEST(Rounding, ErrorsOfPlainRoundingStayWithinHalfAQuantum) {
  const Matrix w = random_matrix(20, 100, 4);
  const QuantizedMatrix rounded = round_to_nearest(w);
  const Matrix wide = dequantize(rounded);
  for (std::int64_t r = 0; r < w.rows; ++r) {
    const float quantum = rounded.scales[static_cast<std::size_t>(r)];
    for (std::size_t i = 0; i < 100; ++i) {
      ASSERT_LE(std::abs(w.row(r)[i] - wide.row(r)[i]), 0.50001F * quantum);
    }
  }
}

TEST(Rounding, NonFiniteWeightsAndWrongScalesAreRefused) {
  Matrix w = random_matrix(2, 4, 5);
  const std::vector<float> one(2, 1.0F);
  EXPECT_THROW(round_to_scales(w, std::vector<float>{1.0F}), Error);
  EXPECT_THROW(round_to_scales(w, std::vector<float>{1.0F, 0.0F}), Error);
  w.row(1)[3] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THROW(round_to_nearest(w), Error);
  EXPECT_THROW(round_to_scales(w, one), Error);
  w.row(1)[3] = -std::numeric_limits<float>::infinity();
  try {
    round_to_nearest(w);
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kNumeric);
  }
}

TEST(OutputErrorTest, MatchesTheDefinitionOverTileBorders) {
  const Matrix x = random_matrix(300, 20, 6), w = random_matrix(530, 20, 7);
  Matrix x_hat = x;
  round_activations(x_hat);
  const Matrix w_hat = dequantize(round_to_nearest(w));
  double error = 0, signal = 0;
  for (std::int64_t r = 0; r < x.rows; ++r) {
    for (std::int64_t m = 0; m < w.rows; ++m) {
      double y = 0, y_hat = 0;
      for (std::size_t k = 0; k < 20; ++k) {
        y += static_cast<double>(x.row(r)[k]) * w.row(m)[k];
        y_hat += static_cast<double>(x_hat.row(r)[k]) * w_hat.row(m)[k];
      }
      signal += y * y;
      error += (y - y_hat) * (y - y_hat);
    }
  }
  const OutputError got = output_error(x, w, x_hat, w_hat);
  EXPECT_NEAR(got.signal / signal, 1, 1e-5);
  EXPECT_NEAR(got.error / error, 1, 1e-3);
  EXPECT_NEAR(got.snr_db(), 10 * std::log10(signal / error), 0.01);
  EXPECT_NEAR(got.relative(), error / signal, 1e-3 * error / signal);
}

TEST(OutputErrorTest, NoErrorIsThreeHundredDecibels) {
  const Matrix x = random_matrix(4, 8, 8), w = random_matrix(5, 8, 9);
  const OutputError same = output_error(x, w, x, w);
  EXPECT_EQ(same.error, 0);
  EXPECT_GT(same.signal, 0);
  EXPECT_EQ(same.snr_db(), 300);
  OutputError sum = same;
  sum.add({1, 2});
  EXPECT_EQ(sum.error, 1);
  EXPECT_EQ(sum.signal, same.signal + 2);
  EXPECT_EQ(OutputError{}.relative(), 0);
  EXPECT_EQ((OutputError{1, 0}).snr_db(), -300);
}

TEST(OutputErrorTest, DifferentShapesAreADefect) {
  const Matrix x = random_matrix(4, 8, 8), w = random_matrix(5, 8, 9);
  EXPECT_THROW(output_error(x, w, Matrix(4, 7), w), Error);
  EXPECT_THROW(output_error(x, w, x, Matrix(4, 8)), Error);
}

}  // namespace
}  // namespace haq::quant
