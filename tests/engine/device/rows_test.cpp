// SPDX-License-Identifier: GPL-3.0-or-later
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <vector>

#include "engine/base/error.h"
#include "engine/device/host/kernels.h"
#include "engine/device/numerics.h"
#include "tests/engine/device/device_test_support.h"

namespace haq::device::test {
namespace {

std::vector<const host::KernelTable*> tables() {
  std::vector<const host::KernelTable*> all;
  for (const Isa isa : {Isa::kScalar, Isa::kAvx2, Isa::kAvx512}) {
    if (host::can_run(isa)) all.push_back(&host::select_kernels(isa));
  }
  return all;
}

/// Every exponent and sign, many mantissas, the special values and the neighbourhood of the limits.
std::vector<float> hard_floats(std::size_t count) {
  std::mt19937 random(5);
  std::vector<float> x(count);
  for (float& v : x) v = num::float_of(static_cast<std::uint32_t>(random()));
  for (std::size_t i = 0; i < count / 2; ++i) {
    x[i] = -110.0F + 205.0F * static_cast<float>(i) / static_cast<float>(count / 2);
  }
  const float inf = std::numeric_limits<float>::infinity();
  const float special[] = {0.0F,   -0.0F,   inf,      -inf,   std::nanf(""), -104.0F, 89.0F,
                           88.72F, -87.34F, -103.97F, 1e-45F, -1e-45F,       104.0F};
  std::copy(std::begin(special), std::end(special), x.end() - std::size(special));
  return x;
}

TEST(Exp, VectorsGiveTheBitsOfTheScalarStep) {
  const std::vector<float> x = hard_floats(2000003);
  std::vector<float> expected(x.size()), found(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) expected[i] = num::exp(x[i]);
  for (const auto* table : tables()) {
    table->exp(x.data(), static_cast<std::int64_t>(x.size()), found.data());
    EXPECT_TRUE(same_bits(expected, found)) << table->name;
  }
}

TEST(Exp, IsAccurateAndSaturates) {
  double worst = 0;
  for (float x = -87.0F; x < 88.7F; x += 0.00037F) {
    const double exact = std::exp(static_cast<double>(x));
    const auto rounded = static_cast<float>(exact);
    const double ulp = static_cast<double>(std::nextafter(rounded, HUGE_VALF)) - rounded;
    worst = std::max(worst, std::fabs(static_cast<double>(num::exp(x)) - exact) / ulp);
  }
  EXPECT_LT(worst, 1.1);
  const float inf = std::numeric_limits<float>::infinity();
  EXPECT_EQ(num::exp(-inf), 0.0F);
  EXPECT_EQ(num::exp(-104.0F), 0.0F);
  EXPECT_EQ(num::exp(inf), inf);
  EXPECT_EQ(num::exp(0.0F), 1.0F);
  EXPECT_TRUE(std::isnan(num::exp(std::nanf(""))));
  EXPECT_NEAR(num::exp(-100.0F), std::exp(-100.0), 2e-45);  // denormal result
}

TEST(Activations, VectorsGiveTheBitsOfTheScalarSteps) {
  const std::vector<float> gate = hard_floats(200003);
  std::vector<float> up = gate;
  std::reverse(up.begin(), up.end());
  const auto n = static_cast<std::int64_t>(gate.size());
  std::vector<float> swiglu(gate.size()), gpt_oss = swiglu, relu = swiglu, found = swiglu;
  for (std::size_t i = 0; i < gate.size(); ++i) {
    swiglu[i] = num::swiglu(gate[i], up[i]);
    gpt_oss[i] = num::gpt_oss_glu(gate[i], up[i], 7.0F);
    relu[i] = num::relu(up[i]);
  }
  for (const auto* table : tables()) {
    table->glu(host::Glu::kSwiGlu, 0, gate.data(), up.data(), n, found.data());
    EXPECT_TRUE(same_bits(swiglu, found)) << table->name;
    table->glu(host::Glu::kGptOss, 7.0F, gate.data(), up.data(), n, found.data());
    EXPECT_TRUE(same_bits(gpt_oss, found)) << table->name;
    table->glu(host::Glu::kRelu, 0, nullptr, up.data(), n, found.data());
    EXPECT_TRUE(same_bits(relu, found)) << table->name;
  }
}

TEST(Activations, MeanWhatTheirNamesSay) {
  for (const float g : {-9.0F, -1.5F, 0.0F, 0.7F, 6.9F, 8.0F, 30.0F}) {
    for (const float u : {-8.0F, -0.3F, 2.0F, 20.0F}) {
      const double silu = g / (1.0 + std::exp(-static_cast<double>(g)));
      EXPECT_NEAR(num::swiglu(g, u), silu * u, 1e-5 * (1 + std::fabs(silu * u)));
      const double gc = std::min(g, 7.0F), uc = std::clamp(u, -7.0F, 7.0F);
      const double expected = (uc + 1) * gc / (1.0 + std::exp(-static_cast<double>(1.702F) * gc));
      EXPECT_NEAR(num::gpt_oss_glu(g, u, 7.0F), expected, 1e-5 * (1 + std::fabs(expected)));
    }
  }
}

TEST(Bf16, RoundsLikeTheBaseLibraryForEveryValue) {
  const std::vector<float> x = hard_floats(100003);
  std::vector<std::uint16_t> found(x.size());
  for (const auto* table : tables()) {
    table->round_bf16(x.data(), static_cast<std::int64_t>(x.size()), found.data());
    for (std::size_t i = 0; i < x.size(); ++i) {
      ASSERT_EQ(found[i], to_bf16(x[i]).bits) << table->name << " " << x[i];
    }
  }
}

/// The 32-lane order of numerics.h over f(0), f(1), ...; `step` folds element k into its lane.
float lanes(std::int64_t n, const std::function<float(float, std::int64_t)>& step) {
  float p[32] = {};
  for (std::int64_t base = 0; base < n; base += 32) {
    for (std::int64_t j = 0; j < 32; ++j) p[j] = step(p[j], base + j < n ? base + j : -1);
  }
  return num::join_lanes(p);
}

TEST(Norms, FollowTheWrittenOrderOnEveryInstructionSet) {
  for (const std::int64_t n : {1, 15, 16, 31, 32, 33, 100, 768, 2048}) {
    const auto x = random_floats(n, static_cast<unsigned>(n), true);
    const auto w = random_floats(n, 2), b = random_floats(n, 3);
    const auto at = [](const std::vector<float>& v, std::int64_t i) {
      return i < 0 ? 0.0F : v[static_cast<std::size_t>(i)];
    };
    const auto count = static_cast<float>(n);
    std::vector<float> rms(x.size()), layer = rms, plain = rms, found = rms;
    const float squares =
        lanes(n, [&](float p, std::int64_t i) { return num::fma(at(x, i), at(x, i), p); });
    const float r = 1.0F / std::sqrt(squares / count + 1e-5F);
    const float mean = lanes(n, [&](float p, std::int64_t i) { return p + at(x, i); }) / count;
    const float variance = lanes(n, [&](float p, std::int64_t i) {
      const float d = i < 0 ? 0.0F : at(x, i) - mean;
      return num::fma(d, d, p);
    });
    const float s = 1.0F / std::sqrt(variance / count + 1e-5F);
    for (std::size_t i = 0; i < x.size(); ++i) {
      rms[i] = (x[i] * r) * w[i];
      plain[i] = ((x[i] - mean) * s) * w[i];
      layer[i] = num::fma((x[i] - mean) * s, w[i], b[i]);
    }
    for (const Isa isa : runnable_isas()) {
      const auto device = device_with(isa, 2);
      device->rms_norm(rows_of(x, 1, n), w.data(), 1e-5F, rows_of(found, 1, n));
      EXPECT_TRUE(same_bits(rms, found)) << to_string(isa) << " " << n;
      device->layer_norm(rows_of(x, 1, n), w.data(), b.data(), 1e-5F, rows_of(found, 1, n));
      EXPECT_TRUE(same_bits(layer, found)) << to_string(isa) << " " << n;
      device->layer_norm(rows_of(x, 1, n), w.data(), nullptr, 1e-5F, rows_of(found, 1, n));
      EXPECT_TRUE(same_bits(plain, found)) << to_string(isa) << " " << n;
      found = x;  // in place
      device->rms_norm(rows_of(found, 1, n), w.data(), 1e-5F, rows_of(found, 1, n));
      EXPECT_TRUE(same_bits(rms, found)) << to_string(isa) << " " << n;
    }
  }
}

TEST(Rotary, TurnsPairsOfEitherLayout) {
  constexpr int kHeads = 2, kHeadDim = 24, kOffset = 4, kDim = 18, kHalf = kDim / 2, kRows = 3;
  std::vector<float> cos(10 * kHalf), sin(10 * kHalf);
  for (std::size_t i = 0; i < cos.size(); ++i) {
    cos[i] = std::cos(0.1F * static_cast<float>(i));
    sin[i] = std::sin(0.1F * static_cast<float>(i));
  }
  const auto x = random_floats(kRows * kHeads * kHeadDim, 1);
  for (const bool interleaved : {false, true}) {
    std::vector<float> expected = x;
    for (int r = 0; r < kRows; ++r) {
      for (int h = 0; h < kHeads; ++h) {
        float* head = &expected[static_cast<std::size_t>((r * kHeads + h) * kHeadDim + kOffset)];
        for (int i = 0; i < kHalf; ++i) {
          const auto t = static_cast<std::size_t>((r + 5) * kHalf + i);
          float& a = head[interleaved ? 2 * i : i];
          float& b = head[interleaved ? 2 * i + 1 : i + kHalf];
          const float a0 = a, b0 = b;
          a = num::rotate_first(a0, b0, cos[t], sin[t]);
          b = num::rotate_second(a0, b0, cos[t], sin[t]);
          EXPECT_NEAR(a, a0 * cos[t] - b0 * sin[t], 1e-6);
          EXPECT_NEAR(b, b0 * cos[t] + a0 * sin[t], 1e-6);
        }
      }
    }
    for (const Isa isa : runnable_isas()) {
      std::vector<float> found = x;
      const RotaryTable table{cos.data(), sin.data(), 10, kDim, interleaved};
      const auto device = device_with(isa, 1);
      device->rotary(rows_of(found, kRows, kHeads * kHeadDim), kHeads, kHeadDim, kOffset, 5, table);
      EXPECT_TRUE(same_bits(expected, found)) << to_string(isa);
      EXPECT_THROW(device->rotary(rows_of(found, kRows, kHeads * kHeadDim), kHeads, kHeadDim,
                                  kOffset, 8, table),
                   Error);
    }
  }
}

TEST(RowOperations, GiveTheSameBitsEverywhere) {
  constexpr std::int64_t kRows = 37, kCols = 1003;
  const auto x = random_floats(kRows * kCols, 1, true), y = random_floats(kRows * kCols, 2, true);
  const auto gate = random_floats(kRows, 3);
  const auto run = [&](Isa isa, int threads) {
    const auto device = device_with(isa, threads);
    std::vector<float> v = x;
    device->add_scaled(rows_of(v, kRows, kCols), rows_of(y, kRows, kCols), 0.37F);
    device->scale(rows_of(v, kRows, kCols), 1.7F);
    device->clamp(rows_of(v, kRows, kCols), 2.5F);
    device->scale_rows_sigmoid(rows_of(v, kRows, kCols), rows_of(gate, kRows, 1));
    return v;
  };
  std::vector<float> expected = x;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const float v = num::fma(y[i], 0.37F, x[i]) * 1.7F;
    expected[i] = std::min(std::max(v, -2.5F), 2.5F) *
                  num::sigmoid(gate[i / static_cast<std::size_t>(kCols)]);
  }
  for (const Isa isa : runnable_isas()) {
    for (const int threads : {1, 2, 5}) EXPECT_TRUE(same_bits(expected, run(isa, threads)));
  }
}

TEST(Embed, WidensRowsAndMultiplies) {
  const std::int64_t vocab = 9, dim = 45;
  const auto bits = random_bf16(vocab * dim, 1);
  const auto device = device_with(Isa::kNative, 2);
  const auto table16 =
      device->prepare(weights_bf16(bits, vocab, dim), LinearPath::kLibrary16, "embed");
  std::vector<float> wide(bits.size());
  for (std::size_t i = 0; i < bits.size(); ++i) wide[i] = widen(bits[i]);
  const auto table32 =
      device->prepare(weights_f32(wide, vocab, dim), LinearPath::kFixedOrder, "embed");
  const std::vector<std::int32_t> ids = {8, 0, 3};
  std::vector<float> a(3 * 45), b(3 * 45);
  device->embed(*table16, ids, 12.5F, rows_of(a, 3, dim));
  device->embed(*table32, ids, 12.5F, rows_of(b, 3, dim));
  EXPECT_TRUE(same_bits(a, b));
  EXPECT_EQ(a[45 + 7], wide[7] * 12.5F);
  const std::vector<std::int32_t> outside = {9};
  EXPECT_THROW(device->embed(*table16, outside, 1, rows_of(a, 1, dim)), Error);
}

TEST(Combine, SumsChoicesInOrder) {
  constexpr std::int64_t kRows = 5, kCols = 50;
  constexpr int kChoices = 3;
  const auto slots = random_floats(kRows * kChoices * kCols, 1);
  const auto weights = random_floats(kRows * kChoices, 2);
  for (const Isa isa : runnable_isas()) {
    std::vector<float> y(kRows * kCols), expected = y;
    device_with(isa, 2)->combine(rows_of(slots, kRows * kChoices, kCols), weights.data(), kChoices,
                                 rows_of(y, kRows, kCols));
    for (std::size_t i = 0; i < y.size(); ++i) {
      const std::size_t r = i / kCols, c = i % kCols;
      float acc = 0;
      for (std::size_t k = 0; k < kChoices; ++k) {
        acc = num::fma(weights[r * kChoices + k], slots[(r * kChoices + k) * kCols + c], acc);
      }
      expected[i] = acc;
    }
    EXPECT_TRUE(same_bits(expected, y)) << to_string(isa);
  }
}

}  // namespace
}  // namespace haq::device::test
