// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace haq {

/// What went wrong, coarse enough for a caller to choose what to do next.
enum class ErrorCode {
  kInvalidArgument,  ///< the caller asked for something that makes no sense
  kNotFound,         ///< a file, tensor, field or conversation that should be there is not
  kUnsupported,      ///< valid, but outside what this program computes correctly
  kCorrupt,          ///< a file contradicts itself or its format
  kIo,               ///< the operating system refused to read or write
  kNoSpace,          ///< the disk is full
  kOutOfMemory,      ///< the memory estimate or an allocation failed
  kLimit,            ///< an input exceeds a stated limit (size, depth, time)
  kCancelled,        ///< stopped by the user
  kConflict,         ///< somebody else holds the file, or it comes from a newer version
  kNumeric,          ///< a non-finite value appeared
  kInternal,         ///< a defect of this program
};

/// The one exception type of the engine. The message is a full sentence that names the file,
/// the field, what was found and what was expected; `hint` (may be empty) says what to do next.
class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message, std::string hint = {})
      : std::runtime_error(message), code_(code), hint_(std::move(hint)) {}

  ErrorCode code() const noexcept { return code_; }
  const std::string& hint() const noexcept { return hint_; }

 private:
  ErrorCode code_;
  std::string hint_;
};

/// Throws Error with a formatted message: fail(ErrorCode::kCorrupt, "{}: ...", path).
template <typename... Args>
[[noreturn]] void fail(ErrorCode code, fmt::format_string<Args...> format, Args&&... args) {
  throw Error(code, fmt::format(format, std::forward<Args>(args)...));
}

/// Short stable name of a code ("corrupt", "not_found", ...), for logs and tests.
const char* to_string(ErrorCode code);

}  // namespace haq
