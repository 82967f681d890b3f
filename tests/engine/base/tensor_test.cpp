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
#endif

}  // namespace
}  // namespace haq
