// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/base/error.h"

namespace haq {

const char* to_string(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument: return "invalid_argument";
    case ErrorCode::kNotFound: return "not_found";
    case ErrorCode::kUnsupported: return "unsupported";
    case ErrorCode::kCorrupt: return "corrupt";
    case ErrorCode::kIo: return "io";
    case ErrorCode::kNoSpace: return "no_space";
    case ErrorCode::kOutOfMemory: return "out_of_memory";
    case ErrorCode::kLimit: return "limit";
    case ErrorCode::kCancelled: return "cancelled";
    case ErrorCode::kConflict: return "conflict";
    case ErrorCode::kNumeric: return "numeric";
    case ErrorCode::kInternal: return "internal";
  }
  return "internal";
}

}  // namespace haq
