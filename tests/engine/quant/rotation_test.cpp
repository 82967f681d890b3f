// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/quant/transform/rotation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "engine/base/error.h"
#include "engine/model/checkpoint.h"
#include "tests/support/golden.h"

namespace haq::quant {
namespace {

model::ModelConfig config_of(int width, model::NormKind norm) {
  model::ModelConfig config;
  config.model_type = "test";
  config.hidden = config.embed_dim = width;
  config.norm = norm;
  return config;
}

Matrix random_matrix(std::int64_t rows, std::int64_t cols, unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> distribution;
  Matrix matrix(rows, cols);
  for (float& value : matrix.values) value = distribution(generator);
  return matrix;
}

/// a bᵀ or a b in double precision.
Matrix product(const Matrix& a, const Matrix& b, bool b_transposed) {
  const std::int64_t cols = b_transposed ? b.rows : b.cols;
  Matrix result(a.rows, cols);
  for (std::int64_t i = 0; i < a.rows; ++i) {
    for (std::int64_t j = 0; j < cols; ++j) {
      double sum = 0;
      for (std::int64_t k = 0; k < a.cols; ++k) {
        const float right = b_transposed ? b.values[static_cast<std::size_t>(j * b.cols + k)]
                                         : b.values[static_cast<std::size_t>(k * b.cols + j)];
        sum += static_cast<double>(a.values[static_cast<std::size_t>(i * a.cols + k)]) * right;
      }
      result.values[static_cast<std::size_t>(i * cols + j)] = static_cast<float>(sum);
    }
  }
  return result;
}

Matrix identity(std::int64_t n) {
  Matrix matrix(n, n);
  for (std::int64_t i = 0; i < n; ++i) matrix.values[static_cast<std::size_t>(i * (n + 1))] = 1;
  return matrix;
}

double largest_difference(std::span<const float> a, std::span<const float> b) {
  EXPECT_EQ(a.size(), b.size());
  double largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    largest = std::max(largest, std::abs(static_cast<double>(a[i]) - b[i]));
  }
  return largest;
}

class RotationOfWidth : public testing::TestWithParam<int> {};

TEST_P(RotationOfWidth, IsOrthogonalForBothKindsOfNorm) {
  for (const auto norm : {model::NormKind::kRms, model::NormKind::kLayer}) {
    const Rotation rotation(config_of(GetParam(), norm), 11);
    const Matrix& q = rotation.matrix();
    ASSERT_EQ(q.rows, GetParam());
    ASSERT_EQ(q.cols, GetParam());
    EXPECT_LT(largest_difference(product(q, q, true).values, identity(q.rows).values), 1e-6);
  }
}

TEST_P(RotationOfWidth, KeepsTheMeanUnderALayerNorm) {
  const std::int64_t n = GetParam();
  const Rotation rotation(config_of(GetParam(), model::NormKind::kLayer), 5);
  Matrix ones(1, n);
  std::fill(ones.values.begin(), ones.values.end(), 1.0F);
  EXPECT_LT(largest_difference(product(ones, rotation.matrix(), false).values, ones.values), 2e-6);
  EXPECT_LT(largest_difference(product(ones, rotation.matrix(), true).values, ones.values), 2e-6);
}

TEST_P(RotationOfWidth, RotatesInputsOutputsVectorsAndBack) {
  const std::int64_t n = GetParam();
  for (const auto norm : {model::NormKind::kRms, model::NormKind::kLayer}) {
    const Rotation rotation(config_of(GetParam(), norm), 3);
    const Matrix reader = random_matrix(7, n, 1);
    const Matrix writer = random_matrix(n, 5, 2);
    const Matrix rotated = rotation.rotate_input(reader);
    EXPECT_LT(largest_difference(rotated.values, product(reader, rotation.matrix(), false).values),
              1e-5);
    EXPECT_LT(largest_difference(rotation.rotate_back(rotated).values, reader.values), 1e-5);
    const std::span<const float> row = reader.row(4);
    EXPECT_LT(largest_difference(rotation.rotate_vector(row), rotated.row(4)), 1e-5);
    // A reader of what a writer wrote computes the same in the rotated basis.
    const Matrix before = product(reader, writer, false);
    const Matrix after = product(rotated, rotation.rotate_output(writer), false);
    EXPECT_LT(largest_difference(after.values, before.values), 1e-4);
  }
}

INSTANTIATE_TEST_SUITE_P(Widths, RotationOfWidth, testing::Values(1, 2, 3, 27, 48, 64, 80, 144));

TEST(Rotation, SpreadsEveryChannelEvenlyWhereTheWidthIsAPowerOfTwo) {
  const Rotation rotation(config_of(256, model::NormKind::kRms), 1);
  for (const float value : rotation.matrix().values) EXPECT_EQ(std::abs(value), 1.0F / 16);
  // 48 = 16 * 3: the block of three spreads unevenly, but over all 16 places.
  const Rotation composed(config_of(48, model::NormKind::kRms), 1);
  float largest = 0;
  for (const float value : composed.matrix().values) largest = std::max(largest, std::abs(value));
  EXPECT_LE(largest, 0.2501F);
}

TEST(Rotation, DependsOnTheSeedAlone) {
  for (const auto norm : {model::NormKind::kRms, model::NormKind::kLayer}) {
    const auto config = config_of(96, norm);
    EXPECT_EQ(Rotation(config, 9).matrix().values, Rotation(config, 9).matrix().values);
    EXPECT_NE(Rotation(config, 9).matrix().values, Rotation(config, 10).matrix().values);
    EXPECT_EQ(Rotation(config, 9).seed(), 9U);
  }
}

TEST(Rotation, NamesItsObstacles) {
  model::ModelConfig config = config_of(64, model::NormKind::kRms);
  EXPECT_FALSE(Rotation::obstacle(config));
  config.embed_dim = 32;
  ASSERT_TRUE(Rotation::obstacle(config));
  EXPECT_NE(Rotation::obstacle(config)->find("embedding"), std::string::npos);
  config = config_of(64, model::NormKind::kLayer);
  config.norm_before = false;
  EXPECT_NE(Rotation::obstacle(config)->find("norms follow"), std::string::npos);
  try {
    Rotation(config, 1);
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
  }
}

TEST(Rotation, OnlyPostNormModelsHaveAnObstacle) {
  for (const std::string& name : test::golden_models()) {
    const auto model = model::Checkpoint::open(test::golden_model_dir(name));
    EXPECT_EQ(Rotation::obstacle(model->config()).has_value(), name == "opt_350m") << name;
  }
}

}  // namespace
}  // namespace haq::quant
