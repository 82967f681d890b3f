// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/cli/process.h"

namespace haq::test {

/// Runs a command with --json and expects exit 0 and exactly one JSON object on stdout.
inline nlohmann::json run_json(std::vector<std::string> arguments,
                               const ProcessOptions& options = {}) {
  arguments.emplace_back("--json");
  const ProcessResult result = run_haq(arguments, options);
  EXPECT_EQ(result.code, 0) << result.err;
  nlohmann::json json = nlohmann::json::parse(result.out, nullptr, false);
  EXPECT_TRUE(json.is_object()) << result.out;
  return json.is_object() ? json : nlohmann::json::object();
}

inline void expect_keys(const nlohmann::json& json, const std::vector<std::string>& keys) {
  for (const std::string& key : keys) EXPECT_TRUE(json.contains(key)) << "no key " << key;
}

/// One line "haq: <what>: <why>; <what to do>" on stderr, nothing on stdout.
inline void expect_failure(const ProcessResult& result, int code) {
  EXPECT_EQ(result.code, code) << result.err;
  EXPECT_EQ(result.out, "");
  EXPECT_EQ(result.err.substr(0, 5), "haq: ") << result.err;
  EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  EXPECT_NE(result.err.find("; "), std::string::npos) << result.err;
}

}  // namespace haq::test
