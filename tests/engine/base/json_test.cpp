// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/base/json.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "engine/base/error.h"

namespace haq {
namespace {

ErrorCode code_for(const std::string& text) {
  try {
    parse_json(text, "input");
  } catch (const Error& error) {
    return error.code();
  }
  ADD_FAILURE() << "accepted: " << text.substr(0, 60);
  return ErrorCode::kInternal;
}

TEST(Json, ReadsValidText) {
  EXPECT_EQ(parse_json(R"({"a": [1, 2.5, "é"]})", "input")["a"][2], "é");
}

TEST(Json, RefusesBombsAndNonsense) {
  EXPECT_EQ(code_for(std::string(100000, '[')), ErrorCode::kLimit);
  EXPECT_EQ(code_for(R"({"a": 1, "a": 2})"), ErrorCode::kCorrupt);
  EXPECT_EQ(code_for("{\"a\": 1} x"), ErrorCode::kCorrupt);
  EXPECT_EQ(code_for("\"\xff\""), ErrorCode::kCorrupt);
  EXPECT_EQ(code_for(""), ErrorCode::kCorrupt);
  EXPECT_THROW(parse_json("[1,2,3]", "input", {.max_bytes = 3}), Error);
}

TEST(Json, KeepsTheOrderOfKeysWhenAsked) {
  EXPECT_EQ(parse_ordered_json(R"({"z":1,"a":2})", "input").dump(), R"({"z":1,"a":2})");
}

}  // namespace
}  // namespace haq
