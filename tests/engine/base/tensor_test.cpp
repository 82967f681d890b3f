// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/base/tensor.h"

#include <gtest/gtest.h>

#include <cmath>

namespace haq {
namespace {

TEST(BFloat16, RoundsToNearestEven) {
  EXPECT_EQ(to_bf16(1.0F).bits, 0x3f80);
  EXPECT_EQ(to_bf16(std::bit_cast<float>(0x3f808000U)).bits, 0x3f80) << "tie goes to the even one";
  EXPECT_EQ(to_bf16(std::bit_cast<float>(0x3f818000U)).bits, 0x3f82);
  EXPECT_TRUE(std::isnan(to_float(to_bf16(NAN))));
  EXPECT_TRUE(std::isinf(to_float(to_bf16(INFINITY))));
}

TEST(BFloat16, WideningIsExactForEveryValue) {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const BFloat16 value{static_cast<std::uint16_t>(bits)};
    if (std::isnan(to_float(value))) continue;
    ASSERT_EQ(to_bf16(to_float(value)).bits, bits);
  }
}

#if defined(__FLT16_MANT_DIG__)
TEST(Half, WideningEqualsTheCompilersForEveryValue) {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto narrow = static_cast<std::uint16_t>(bits);
    const float expected = static_cast<float>(std::bit_cast<_Float16>(narrow));
    if (std::isnan(expected)) {
      ASSERT_TRUE(std::isnan(half_to_float(narrow)));
    } else {
      ASSERT_EQ(std::bit_cast<std::uint32_t>(half_to_float(narrow)), std::bit_cast<std::uint32_t>(expected));
    }
  }
}

TEST(Half, NarrowingEqualsTheCompilers) {
  const auto expect_same = [](float value) {
    const auto expected = std::bit_cast<std::uint16_t>(static_cast<_Float16>(value));
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(half_to_float(to_half(value))));
    } else {
      ASSERT_EQ(to_half(value), expected) << std::hexfloat << value;
    }
  };
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    // Each half, the floats beside it, and the ties to the next half with their neighbours.
    const float exact = half_to_float(static_cast<std::uint16_t>(bits));
    const auto word = std::bit_cast<std::uint32_t>(exact);
    for (const std::uint32_t offset : {0x0U, 0x1U, 0xfffU, 0x1000U, 0x1001U, 0x1fffU}) {
      expect_same(std::bit_cast<float>(word + offset));
    }
  }
  for (float value = 0x1p-27F; value < 0x1p-13F; value *= 1.0009765F) {
    expect_same(value);
    expect_same(-value);
  }
  for (const float value : {0.0F, -0.0F, 65504.0F, 65519.9F, 65520.0F, 1e30F, -1e30F, INFINITY}) {
    expect_same(value);
  }
}
#endif

}  // namespace
}  // namespace haq
