// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/experts/budget.h"

#include <gtest/gtest.h>

#include "engine/base/error.h"

namespace haq::experts {
namespace {

TEST(Budget, UnderstandsEveryForm) {
  EXPECT_EQ(parse_budget("0", 768, 0), 0);
  EXPECT_EQ(parse_budget("all", 768, 0), 768);
  EXPECT_EQ(parse_budget("96x", 768, 0), 96);
  EXPECT_EQ(parse_budget("0x", 768, 0), 0);
  EXPECT_EQ(parse_budget("25%", 768, 0), 192);
  EXPECT_EQ(parse_budget("33.4%", 10, 0), 3);
  EXPECT_EQ(parse_budget("10MiB", 768, 1048576), 10);
  EXPECT_EQ(parse_budget("1.5GiB", 768, 3.0 * 1048576), 512);
  EXPECT_EQ(parse_budget("100GiB", 768, 1048576), 768);
}

TEST(Budget, RefusesTheRest) {
  for (const char* text :
       {"", "12", "-1x", "1.5x", "101%", "10MB", "nanx", "inf%", "x", "5 GiB", "1e400x", "769x"}) {
    EXPECT_THROW(parse_budget(text, 768, 1000), Error) << text;
  }
  EXPECT_THROW(parse_budget("8GiB", 768, 0), Error);    // bytes of an expert unknown
  EXPECT_THROW(parse_budget("10B", 768, 1000), Error);  // less than one expert
  EXPECT_THROW(parse_budget("1%", 50, 0), Error);
}

}  // namespace
}  // namespace haq::experts
