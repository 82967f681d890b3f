// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/quant/arithmetic/row_kernels.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "engine/device/host/cpuid.h"
#include "engine/device/numerics.h"
#include "tests/engine/quant/quant_test_support.h"

namespace haq::quant {
namespace {

using test::random_matrix;
using Floats = std::vector<float>;

std::vector<const RowKernels*> runnable() {
  std::vector<const RowKernels*> tables;
  const auto& features = device::host::cpu_features();
  if (features.avx2) tables.push_back(&avx2_row_kernels());
  if (features.avx512) tables.push_back(&avx512_row_kernels());
  return tables;
}

TEST(RowKernels, TheBestTableIsOneThatRuns) {
  bool known = &row_kernels() == &scalar_row_kernels();
  for (const RowKernels* table : runnable()) known = known || table == &row_kernels();
  EXPECT_TRUE(known);
}

TEST(RowKernels, QuantizeScaledMatchesTheContractInEveryTable) {
  for (const std::int64_t n : {1, 15, 16, 33, 200}) {
    const Floats x = random_matrix(1, n, 1).values, s = random_matrix(1, n, 2).values;
    Floats product(x.size());
    std::vector<std::int8_t> want(x.size()), got(x.size());
    float m = 0;
    for (std::size_t i = 0; i < x.size(); ++i) m = std::max(m, std::abs(x[i] * s[i]));
    for (std::size_t i = 0; i < x.size(); ++i) {
      want[i] = device::num::quantize(x[i] * s[i], device::num::quant_factor(m));
    }
    std::vector<const RowKernels*> tables = runnable();
    tables.push_back(&scalar_row_kernels());
    for (const RowKernels* table : tables) {
      const auto row = table->quantize_scaled(x.data(), s.data(), n, product.data(), got.data());
      EXPECT_TRUE(row.finite);
      EXPECT_EQ(row.scale, device::num::quant_scale(m)) << table->name;
      EXPECT_EQ(got, want) << table->name << " " << n;
      Floats bad = x;
      bad.back() = std::numeric_limits<float>::quiet_NaN();
      EXPECT_FALSE(
          table->quantize_scaled(bad.data(), s.data(), n, product.data(), got.data()).finite);
    }
  }
}

TEST(RowKernels, SumsMatchTheDefinitionAndEachOther) {
  for (const std::int64_t n : {1, 16, 47, 300}) {
    const Floats a = random_matrix(1, n, 3).values, b = random_matrix(1, n, 4).values;
    const Floats scale = {0.01F, 0.02F, 0.005F}, inverse = {100.0F, 50.0F, 200.0F};
    Floats weight(a.size());
    for (std::size_t i = 0; i < a.size(); ++i) weight[i] = b[i] * b[i];
    double distance = 0, errors[3] = {};
    for (std::size_t i = 0; i < a.size(); ++i) {
      distance += std::pow(static_cast<double>(a[i]) - b[i], 2);
      for (std::size_t c = 0; c < 3; ++c) {
        const float q = std::clamp(std::nearbyint(a[i] * inverse[c]), -127.0F, 127.0F);
        errors[c] += weight[i] * std::pow(static_cast<double>(a[i]) - q * scale[c], 2);
      }
    }
    const RowKernels& scalar = scalar_row_kernels();
    Floats found(3);
    const float sum = scalar.squared_distance(a.data(), b.data(), n);
    scalar.rounding_errors(a.data(), weight.data(), n, scale.data(), inverse.data(), found.data());
    EXPECT_NEAR(sum / distance, 1, 1e-5);
    for (std::size_t c = 0; c < 3; ++c) EXPECT_NEAR(found[c] / errors[c], 1, 1e-3);
    for (const RowKernels* table : runnable()) {
      Floats same(3);
      table->rounding_errors(a.data(), weight.data(), n, scale.data(), inverse.data(), same.data());
      EXPECT_EQ(same, found) << table->name;
      EXPECT_EQ(table->squared_distance(a.data(), b.data(), n), sum) << table->name;
    }
  }
}

/// A block with random contents and room for its results.
struct Block {
  static constexpr std::size_t kCells = std::size_t{kMaxBlockColumns} * kBlockRows;
  static constexpr std::size_t kRows = kBlockRows;
  Floats factor = random_matrix(kMaxBlockColumns, kMaxBlockColumns, 5, 0.05F).values;
  Floats pivot = Floats(kMaxBlockColumns, 0.7F);
  Floats weights = random_matrix(kMaxBlockColumns, kBlockRows, 6).values;
  Floats carried = random_matrix(kMaxBlockColumns, kBlockRows, 7, 0.01F).values;
  Floats carried_plain = random_matrix(kMaxBlockColumns, kBlockRows, 8, 0.01F).values;
  Floats scale = Floats(kRows, 0.02F), inverse = Floats(kRows, 50.0F);
  Floats d = Floats(kCells), d_plain = Floats(kCells), scratch = Floats(2 * kCells);
  Floats sums = Floats(4 * kRows);
  std::vector<std::int8_t> values = std::vector<std::int8_t>(kCells);

  SolveBlock args(int columns) {
    SolveBlock b;
    b.columns = columns;
    b.factor = factor.data();
    b.pivot_sq = pivot.data();
    b.weights = weights.data();
    b.carried = carried.data();
    b.carried_plain = carried_plain.data();
    b.stride = kBlockRows;
    b.scale = b.scale_plain = scale.data();
    b.inverse = b.inverse_plain = inverse.data();
    b.d = d.data();
    b.d_plain = d_plain.data();
    b.values = values.data();
    b.objective = sums.data();
    b.distance = sums.data() + kRows;
    b.objective_plain = sums.data() + 2 * kRows;
    b.distance_plain = sums.data() + 3 * kRows;
    b.scratch = scratch.data();
    return b;
  }
};

TEST(RowKernels, SolveBlockFollowsTheRecurrence) {
  for (const int columns : {1, 5, kMaxBlockColumns}) {
    Block block;
    scalar_row_kernels().solve_block(block.args(columns));
    for (std::size_t r = 0; r < Block::kRows; ++r) {
      double objective = 0, objective_plain = 0;
      for (std::size_t j = 0; j < static_cast<std::size_t>(columns); ++j) {
        const std::size_t cell = j * Block::kRows + r;
        double carried = block.carried[cell], plain = block.carried_plain[cell];
        for (std::size_t i = 0; i < j; ++i) {
          const double factor = block.factor[j * kMaxBlockColumns + i];
          carried += factor * block.d[i * Block::kRows + r];
          plain += factor * block.d_plain[i * Block::kRows + r];
        }
        // The target is rounded to within half a quantum, unless it lies at a border in float32.
        const double target = block.weights[cell] + carried;
        ASSERT_NEAR(block.values[cell], std::clamp(target * 50, -127.0, 127.0), 0.501);
        ASSERT_NEAR(block.d[cell], block.weights[cell] - 0.02 * block.values[cell], 1e-6);
        ASSERT_NEAR(
            block.d_plain[cell],
            block.weights[cell] -
                0.02 * std::clamp(std::nearbyint(block.weights[cell] * 50.0), -127.0, 127.0),
            1e-6);
        objective += 0.7 * std::pow(block.d[cell] + carried, 2);
        objective_plain += 0.7 * std::pow(block.d_plain[cell] + plain, 2);
      }
      ASSERT_NEAR(block.sums[r] / objective, 1, 1e-4);
      ASSERT_NEAR(block.sums[2 * Block::kRows + r] / objective_plain, 1, 1e-4);
    }
    for (const RowKernels* table : runnable()) {
      Block other;
      table->solve_block(other.args(columns));
      EXPECT_EQ(other.d, block.d) << table->name;
      EXPECT_EQ(other.d_plain, block.d_plain) << table->name;
      EXPECT_EQ(other.values, block.values) << table->name;
      EXPECT_EQ(other.sums, block.sums) << table->name;
    }
  }
}

}  // namespace
}  // namespace haq::quant
