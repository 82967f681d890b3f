// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "engine/base/progress.h"
#include "engine/text/chat_template.h"
#include "engine/text/tokenizer.h"

namespace haq::quant {

struct CalibrationOptions {
  std::vector<std::filesystem::path> files;  ///< UTF-8 text, or .jsonl
  std::int64_t tokens = 65536;               ///< wanted for statistics
  std::int64_t sequence_length = 512;        ///< ids per sequence; shortened to the model's context
  std::uint64_t seed = 0;
  double held_out_share = 1.0 / 16;  ///< of the drawn sequences, kept for measuring (at least one)
};

struct CalibrationData {
  std::vector<std::vector<std::int32_t>> sequences;  ///< for statistics
  std::vector<std::vector<std::int32_t>> held_out;   ///< never used for statistics
  std::int64_t tokens = 0;                           ///< in `sequences`
  std::int64_t available_tokens = 0;                 ///< ids the files hold
  double unknown_share = 0;                          ///< ids that are the unknown token
  double bytes_per_token = 0;  ///< low values hint at a text the tokenizer was not made for
  double byte_fallback_share = 0;
  std::vector<std::string> notices;  ///< warnings in sentences
  std::string fingerprint;           ///< of the drawn ids
};

/// Reads text files (one stream of ids each) and .jsonl files (an object per line: {"messages":
/// [...]} rendered by the chat template, or {"text": "..."}), cuts them into sequences and draws a
/// seeded sample without overlap, spread over all files. `chat_template` may be null: a chat file
/// is then refused. Throws kNotFound, kCorrupt naming file and line, kInvalidArgument for empty
/// text or less than two sequences; fewer tokens than wanted is a notice.
CalibrationData read_calibration(const CalibrationOptions& options,
                                 const text::Tokenizer& tokenizer,
                                 const text::ChatTemplate* chat_template,
                                 const ProgressCallback& progress = {},
                                 const CancelToken& cancel = {});

}  // namespace haq::quant
