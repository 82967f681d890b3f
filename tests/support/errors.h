// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "engine/base/error.h"

/// What tests of failures share.
namespace haq::test {

/// The error that the call ends with; a call that succeeds fails the test.
template <typename Call>
Error error_of(const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "no error";
  return Error(ErrorCode::kInternal, "");
}

template <typename Call>
ErrorCode code_of(const Call& call) {
  return error_of(call).code();
}

template <typename Call>
std::string message_of(const Call& call) {
  return error_of(call).what();
}

/// The call ends with an error of that code whose message holds every part.
template <typename Call>
void expect_error(ErrorCode code, const std::vector<std::string>& parts, const Call& call) {
  const Error error = error_of(call);
  EXPECT_STREQ(to_string(error.code()), to_string(code)) << error.what();
  for (const std::string& part : parts) EXPECT_THAT(error.what(), testing::HasSubstr(part));
}

}  // namespace haq::test
