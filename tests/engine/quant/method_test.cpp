// SPDX-License-Identifier: GPL-3.0-or-later
#include <gtest/gtest.h>

#include "engine/base/error.h"
#include "engine/quant/report/report.h"

namespace haq::quant {
namespace {

TEST(Method, NamesRoundTrip) {
  for (const Method method : {Method::kHaq, Method::kGptq, Method::kSmoothQuant, Method::kRtn}) {
    EXPECT_EQ(parse_method(to_string(method)), method);
  }
}

TEST(Method, UnknownNameListsTheChoices) {
  try {
    parse_method("awq");
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    EXPECT_NE(std::string(error.what()).find("smoothquant"), std::string::npos);
  }
}

}  // namespace
}  // namespace haq::quant
