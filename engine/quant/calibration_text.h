// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "engine/base/progress.h"
#include "engine/text/chat_template.h"
#include "engine/text/tokenizer.h"

namespace haq::quant {

/// The token ids of one calibration file.
struct CalibrationText {
  /// A text file is one stream; a .jsonl file has one per line that is not blank.
  std::vector<std::vector<std::int32_t>> streams;
  std::int64_t tokens = 0;
  std::int64_t bytes = 0;  ///< of the encoded text (rendered, for chats)
};

/// Largest file that is read, and longest line of a .jsonl file.
inline constexpr std::size_t kMaxCalibrationFile = std::size_t{256} << 20;
inline constexpr std::size_t kMaxCalibrationLine = std::size_t{16} << 20;

/// Reads and encodes one file; see read_calibration(). A text longer than 1 MiB is encoded in parts
/// of that size, cut at line ends, so that the work can be shown and stopped. Progress in bytes of
/// this file. Throws kNotFound, kIo, kLimit, kCorrupt naming the line, kInvalidArgument for a file
/// without text, kCancelled.
CalibrationText read_calibration_file(const std::filesystem::path& file,
                                      const text::Tokenizer& tokenizer,
                                      const text::ChatTemplate* chat_template,
                                      const ProgressCallback& progress, const CancelToken& cancel);

}  // namespace haq::quant
