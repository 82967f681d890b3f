// SPDX-License-Identifier: GPL-3.0-or-later
// W8A8 results depend on a row alone: not on kernels, threads, the number of rows beside it or how
// a batch is cut.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tests/engine/device/device_test_support.h"

namespace haq::device::test {
namespace {

constexpr std::int64_t kRows = 130;

/// Rows as a hostile model would make them, in turn.
std::vector<float> mixed_rows(std::int64_t rows, std::int64_t cols, unsigned seed) {
  std::vector<float> x = random_floats(rows * cols, seed, true);
  for (std::int64_t r = 0; r < rows; ++r) {
    float* row = &x[static_cast<std::size_t>(r * cols)];
    switch (r % 9) {
      case 1:  // all +-127 after quantization
        for (std::int64_t i = 0; i < cols; ++i) row[i] = (i * 7 + r) % 3 == 0 ? -2.5F : 2.5F;
        break;
      case 2:
        std::fill(row, row + cols, 0.0F);
        break;
      case 3:
        std::fill(row, row + cols, 1e-3F);
        row[r % cols] = 3e7F;
        break;
      case 4:
        for (std::int64_t i = 0; i < cols; ++i) row[i] = 1e-42F * static_cast<float>(i % 90 - 45);
        break;
      case 5:  // at the boundary below which a row counts as zero
        std::fill(row, row + cols, r % 2 == 0 ? 0x1p-100F : std::nextafter(0x1p-100F, 0.0F));
        break;
      default:
        break;
    }
  }
  return x;
}

/// Random weights with columns of +-127 and of -128.
LinearWeights mixed_weights(std::int64_t out, std::int64_t in, unsigned seed) {
  auto q = random_int8(out * in, seed, -127, 127);
  for (std::int64_t n = 0; n < out; n += 5) {
    for (std::int64_t i = 0; i < in; ++i) {
      q[static_cast<std::size_t>(n * in + i)] = static_cast<std::int8_t>(n % 2 != 0         ? -128
                                                                         : (i + n) % 2 == 0 ? 127
                                                                                            : -127);
    }
  }
  std::vector<float> scale = random_floats(out, seed + 1);
  for (float& s : scale) s = 0.01F * std::fabs(s) + 1e-4F;
  return weights_int8(std::move(q), std::move(scale), out, in, random_floats(out, seed + 2));
}

/// The same weights at the start of a cache line: another way through the kernels.
LinearWeights aligned(LinearWeights w) {
  constexpr std::uintptr_t kLine = 64;
  const std::size_t bytes = w.weight.bytes();
  auto owner = std::make_shared<std::vector<std::byte>>(bytes + kLine);
  const auto start = reinterpret_cast<std::uintptr_t>(owner->data());
  std::byte* to = owner->data() + (kLine - start % kLine) % kLine;
  std::copy(w.weight.data, w.weight.data + bytes, to);
  w.weight.data = to;
  w.weight.owner = owner;
  return w;
}

std::vector<float> apply(Device& device, const Linear& linear, const float* x, std::int64_t rows) {
  std::vector<float> y(static_cast<std::size_t>(rows * linear.out()), -1.0F);
  const Device::LinearCall call{&linear, rows_of(y, rows, linear.out())};
  device.linear({x, rows, linear.in(), linear.in()}, {&call, 1});
  return y;
}

std::vector<float> part(const std::vector<float>& all, std::int64_t cols, std::int64_t first,
                        std::int64_t count) {
  return {all.begin() + first * cols, all.begin() + (first + count) * cols};
}

std::vector<HostOptions> everything() {
  std::vector<HostOptions> all;
  for (const Isa isa : {Isa::kScalar, Isa::kAvx2, Isa::kAvxVnni, Isa::kAvx512, Isa::kNative}) {
    if (!host::can_run(isa)) continue;
    for (const int threads : {1, 2, 3}) {
      for (const HostOptions& options : int8_options(isa, threads)) all.push_back(options);
    }
  }
  return all;
}

class Int8Properties : public ::testing::TestWithParam<std::int64_t> {};

TEST_P(Int8Properties, ARowOfALinearLayerIsTheSameInEveryBatch) {
  const std::int64_t in = GetParam();
  constexpr std::int64_t kOut = 150;
  const LinearWeights w = aligned(mixed_weights(kOut, in, 5));
  const std::vector<float> x = mixed_rows(kRows, in, 6);
  const std::vector<float> expected = int8_reference(x, w, kRows);
  for (const HostOptions& options : everything()) {
    const auto device = make_host_device(options);
    const auto linear = device->prepare(w, LinearPath::kInt8, "layer");
    const std::int64_t step = options.max_isa == Isa::kScalar ? 13 : 1;
    for (std::int64_t rows = 1; rows <= kRows; rows += step) {
      ASSERT_TRUE(same_bits(part(expected, kOut, 0, rows), apply(*device, *linear, x.data(), rows)))
          << describe(options) << ", rows " << rows;
    }
    for (const std::int64_t cut : {1, 11, 64, 129}) {
      ASSERT_TRUE(
          same_bits(part(expected, kOut, cut, kRows - cut),
                    apply(*device, *linear, &x[static_cast<std::size_t>(cut * in)], kRows - cut)))
          << describe(options) << ", from row " << cut;
    }
  }
}

/// Columns of whole cache lines, and not.
INSTANTIATE_TEST_SUITE_P(Inputs, Int8Properties, ::testing::Values(128, 136));

class Int8Experts : public ::testing::TestWithParam<Activation> {
 protected:
  static constexpr std::int64_t kHidden = 72, kWidth = 88;
  static constexpr std::size_t kExperts = 3;

  Int8Experts() {
    const auto add = [&](unsigned seed) {
      LinearWeights up = mixed_weights(kWidth, kHidden, seed);
      LinearWeights down = mixed_weights(kHidden, kWidth, seed + 7);
      for (float& s : up.scale) s *= 1e-3F;  // keeps gate times up finite for the hot rows
      return std::pair{up, down};
    };
    for (unsigned e = 0; e < kExperts; ++e) {
      const auto [gate, unused] = add(100 * e);
      const auto [up, down] = add(100 * e + 50);
      gate_.push_back(gate);
      up_.push_back(up);
      down_.push_back(down);
    }
  }

  std::vector<FfnSpec> prepare(Device& device) const {
    std::vector<FfnSpec> all;
    for (std::size_t e = 0; e < kExperts; ++e) {
      FfnSpec f;
      f.activation = GetParam();
      if (f.activation != Activation::kRelu) {
        f.gate = device.prepare(gate_[e], LinearPath::kInt8, "gate");
      }
      f.up = device.prepare(up_[e], LinearPath::kInt8, "up");
      f.down = device.prepare(down_[e], LinearPath::kInt8, "down");
      all.push_back(f);
    }
    return all;
  }

  /// Rows [first, first + count), each through every expert; row r through expert e is output row
  /// r * kExperts + e.
  static std::vector<float> run(Device& device, const std::vector<FfnSpec>& experts,
                                const std::vector<float>& x, std::int64_t first,
                                std::int64_t count) {
    std::vector<std::vector<std::int32_t>> rows(kExperts), slots(kExperts);
    for (std::int32_t r = 0; r < count; ++r) {
      for (std::size_t e = 0; e < kExperts; ++e) {
        const std::int32_t row = e == 1 ? static_cast<std::int32_t>(count) - 1 - r : r;
        rows[e].push_back(row);
        slots[e].push_back(row * static_cast<std::int32_t>(kExperts) +
                           static_cast<std::int32_t>(e));
      }
    }
    std::vector<FfnGroup> groups;
    for (std::size_t e = 0; e < kExperts; ++e) groups.push_back({&experts[e], rows[e], slots[e]});
    const std::int64_t outputs = count * static_cast<std::int64_t>(kExperts);
    std::vector<float> out(static_cast<std::size_t>(outputs * kHidden), -1.0F);
    device.ffn({&x[static_cast<std::size_t>(first * kHidden)], count, kHidden, kHidden}, groups,
               rows_of(out, outputs, kHidden));
    return out;
  }

  std::vector<LinearWeights> gate_, up_, down_;
};

TEST_P(Int8Experts, ARowOfAWholeExpertIsTheSameInEveryBatch) {
  const std::vector<float> x = mixed_rows(kRows, kHidden, 9);
  const auto scalar = device_with(Isa::kScalar, 1);
  const std::vector<FfnSpec> reference = prepare(*scalar);
  constexpr std::int64_t kOutputs = kHidden * static_cast<std::int64_t>(kExperts);
  std::vector<float> expected;  // one row at a time
  for (std::int64_t r = 0; r < kRows; ++r) {
    const std::vector<float> y = run(*scalar, reference, x, r, 1);
    expected.insert(expected.end(), y.begin(), y.end());
  }
  for (const HostOptions& options : everything()) {
    const auto device = make_host_device(options);
    const std::vector<FfnSpec> experts = prepare(*device);
    for (const std::int64_t rows : {1, 2, 3, 7, 8, 9, 11, 12, 13, 17, 24, 63, 64, 65, 127, 130}) {
      ASSERT_TRUE(same_bits(part(expected, kOutputs, 0, rows), run(*device, experts, x, 0, rows)))
          << describe(options) << ", rows " << rows;
    }
    for (const std::int64_t cut : {1, 37, 118}) {
      ASSERT_TRUE(same_bits(part(expected, kOutputs, cut, kRows - cut),
                            run(*device, experts, x, cut, kRows - cut)))
          << describe(options) << ", from row " << cut;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Activations, Int8Experts,
                         ::testing::Values(Activation::kSwiGlu, Activation::kRelu,
                                           Activation::kGptOss));

}  // namespace
}  // namespace haq::device::test
