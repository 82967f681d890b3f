// SPDX-License-Identifier: GPL-3.0-or-later
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "engine/base/error.h"
#include "engine/device/numerics.h"
#include "tests/engine/device/device_test_support.h"

namespace haq::device::test {
namespace {

constexpr std::int64_t kHidden = 96, kWidth = 80;

LinearWeights layer(LinearPath path, std::int64_t out, std::int64_t in, unsigned seed, bool bias) {
  LinearWeights w;
  if (path == LinearPath::kInt8) {
    std::mt19937 random(seed);
    std::vector<std::int8_t> q(static_cast<std::size_t>(out * in));
    for (auto& v : q) v = static_cast<std::int8_t>(static_cast<int>(random() % 255) - 127);
    w = weights_int8(q, std::vector<float>(static_cast<std::size_t>(out), 0.002F), out, in);
  } else {
    auto values = random_floats(out * in, seed);
    std::vector<std::uint16_t> bits(values.size());
    for (std::size_t i = 0; i < bits.size(); ++i) bits[i] = to_bf16(0.1F * values[i]).bits;
    w = weights_bf16(bits, out, in);
  }
  if (bias) w.bias = random_floats(out, seed + 1000);
  return w;
}

FfnSpec network(Device& device, LinearPath path, Activation activation, unsigned seed,
                std::int64_t width = kWidth) {
  FfnSpec f;
  const bool bias = activation != Activation::kSwiGlu;
  f.activation = activation;
  if (activation != Activation::kRelu) {
    f.gate = device.prepare(layer(path, width, kHidden, seed, bias), path, "gate");
  }
  f.up = device.prepare(layer(path, width, kHidden, seed + 1, bias), path, "up");
  f.down = device.prepare(layer(path, kHidden, width, seed + 2, bias), path, "experts.7.down");
  return f;
}

/// One row through one network by the device's linear layers, one row at a time.
std::vector<float> one_row(Device& device, const FfnSpec& f, const float* x) {
  const auto apply = [&](const Linear& l, const float* in) {
    std::vector<float> y(static_cast<std::size_t>(l.out()));
    const Device::LinearCall call{&l, rows_of(y, 1, l.out())};
    device.linear({in, 1, l.in(), l.in()}, {&call, 1});
    return y;
  };
  std::vector<float> h = apply(*f.up, x);
  if (f.gate) {
    const std::vector<float> g = apply(*f.gate, x);
    for (std::size_t i = 0; i < h.size(); ++i) {
      h[i] = f.activation == Activation::kSwiGlu ? num::swiglu(g[i], h[i])
                                                 : num::gpt_oss_glu(g[i], h[i], f.limit);
    }
  } else {
    for (float& v : h) v = num::relu(v);
  }
  return apply(*f.down, h.data());
}

/// Tokens spread unevenly over networks, each by two of them; slots in a shuffled order.
struct Work {
  std::int64_t tokens;
  std::vector<std::vector<std::int32_t>> rows, slots;
  Work(std::int64_t t, std::size_t networks) : tokens(t), rows(networks), slots(networks) {
    std::mt19937 random(static_cast<unsigned>(t));
    for (std::int32_t r = 0; r < t; ++r) {
      const std::size_t first = random() % 3 == 0 ? 0 : random() % networks;
      const std::size_t second = (first + 1 + random() % (networks - 1)) % networks;
      rows[first].push_back(r);
      slots[first].push_back(2 * r);
      rows[second].push_back(r);
      slots[second].push_back(2 * r + 1);
    }
  }
  std::vector<float> run(Device& device, const std::vector<FfnSpec>& f,
                         const std::vector<float>& x) const {
    std::vector<float> out(static_cast<std::size_t>(tokens * 2 * kHidden), -7.0F);
    std::vector<FfnGroup> groups;
    for (std::size_t n = 0; n < f.size(); ++n) groups.push_back({&f[n], rows[n], slots[n]});
    device.ffn(rows_of(x, tokens, kHidden), groups, rows_of(out, tokens * 2, kHidden));
    return out;
  }
};

class FfnTest : public ::testing::TestWithParam<Activation> {};

TEST_P(FfnTest, EveryRowEqualsItsOwnWayThroughTheNetwork) {
  constexpr std::size_t kNetworks = 4;
  for (const LinearPath path : {LinearPath::kFixedOrder, LinearPath::kInt8}) {
    const auto reference = device_with(Isa::kScalar, 1);
    std::vector<FfnSpec> f;
    for (unsigned n = 0; n < kNetworks; ++n) {
      f.push_back(network(*reference, path, GetParam(), 10 * n, kWidth + (n == 3 ? 16 : 0)));
    }
    for (const std::int64_t tokens : {1, 3, 90}) {
      const auto x = random_floats(tokens * kHidden, 3);
      const Work work(tokens, kNetworks);
      std::vector<float> expected(static_cast<std::size_t>(tokens * 2 * kHidden));
      for (std::size_t n = 0; n < kNetworks; ++n) {
        for (std::size_t i = 0; i < work.rows[n].size(); ++i) {
          const auto y =
              one_row(*reference, f[n], &x[static_cast<std::size_t>(work.rows[n][i] * kHidden)]);
          std::copy(y.begin(), y.end(), expected.begin() + work.slots[n][i] * kHidden);
        }
      }
      for (const Isa isa : {Isa::kScalar, Isa::kAvx2, Isa::kAvxVnni, Isa::kAvx512, Isa::kNative}) {
        if (!host::can_run(isa)) continue;
        for (const int threads : {1, 3}) {
          const auto device = device_with(isa, threads);
          std::vector<FfnSpec> g;
          for (unsigned n = 0; n < kNetworks; ++n) {
            g.push_back(network(*device, path, GetParam(), 10 * n, kWidth + (n == 3 ? 16 : 0)));
          }
          EXPECT_TRUE(same_bits(expected, work.run(*device, g, x)))
              << to_string(isa) << " tokens " << tokens << " path " << static_cast<int>(path);
        }
      }
    }
  }
}

TEST_P(FfnTest, SixteenBitAgreesWithFixedOrderWithinRounding) {
  const auto device = device_with(Isa::kNative, 2);
  std::vector<FfnSpec> exact, rounded;
  for (unsigned n = 0; n < 3; ++n) {
    exact.push_back(network(*device, LinearPath::kFixedOrder, GetParam(), 10 * n));
    rounded.push_back(network(*device, LinearPath::kLibrary16, GetParam(), 10 * n));
  }
  for (const std::int64_t tokens : {1, 60}) {
    const auto x = random_floats(tokens * kHidden, 3);
    const Work work(tokens, 3);
    const auto a = work.run(*device, exact, x), b = work.run(*device, rounded, x);
    double error = 0, size = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
      error += (a[i] - b[i]) * (a[i] - b[i]);
      size += a[i] * a[i];
    }
    // Two roundings to 8 bits (x and the hidden row), random: about 2^-9 each.
    EXPECT_LT(std::sqrt(error / size), 0x1p-7);
    EXPECT_GT(error, 0);
  }
}

INSTANTIATE_TEST_SUITE_P(Activations, FfnTest,
                         ::testing::Values(Activation::kSwiGlu, Activation::kRelu,
                                           Activation::kGptOss));

TEST(Ffn, NamesTheLayerWhoseInputIsNotFinite) {
  const auto device = device_with(Isa::kNative, 2);
  const FfnSpec f = network(*device, LinearPath::kInt8, Activation::kSwiGlu, 1);
  for (const std::int64_t tokens : {1, 40}) {
    auto x = random_floats(tokens * kHidden, 3);
    x.back() = std::numeric_limits<float>::infinity();
    std::vector<std::int32_t> rows;
    for (std::int32_t r = 0; r < tokens; ++r) rows.push_back(r);
    std::vector<float> out(x.size());
    const FfnGroup group{&f, rows, rows};
    try {
      device->ffn(rows_of(x, tokens, kHidden), {&group, 1}, rows_of(out, tokens, kHidden));
      FAIL();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kNumeric);
      EXPECT_THAT(error.what(), ::testing::HasSubstr("up"));
    }
    x.back() = 0.0F;
    for (float& v : x) v *= 3e33F;  // finite, but gate times up is not
    try {
      device->ffn(rows_of(x, tokens, kHidden), {&group, 1}, rows_of(out, tokens, kHidden));
      FAIL();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kNumeric);
      EXPECT_THAT(error.what(), ::testing::HasSubstr("experts.7.down"));
    }
  }
}

TEST(Ffn, RefusesRowsAndSlotsOutOfRange) {
  const auto device = device_with(Isa::kNative, 1);
  const FfnSpec f = network(*device, LinearPath::kFixedOrder, Activation::kSwiGlu, 1);
  std::vector<float> x(kHidden), out(kHidden);
  const std::vector<std::int32_t> good = {0}, bad = {1};
  const FfnGroup row{&f, bad, good}, slot{&f, good, bad};
  EXPECT_THROW(device->ffn(rows_of(x, 1, kHidden), {&row, 1}, rows_of(out, 1, kHidden)), Error);
  EXPECT_THROW(device->ffn(rows_of(x, 1, kHidden), {&slot, 1}, rows_of(out, 1, kHidden)), Error);
}

}  // namespace
}  // namespace haq::device::test
