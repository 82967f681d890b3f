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
  double bytes_per_token = 0;
  /// Ids that are a byte of a character, not a piece of text: many of them hint at a language that
  /// the tokenizer was not made for.
  double byte_fallback_share = 0;
  std::vector<std::string> notices;  ///< warnings in sentences
  std::string fingerprint;           ///< of the drawn ids
};

/// Reads text files (one stream of ids each, without added special tokens) and .jsonl files (an
/// object per line: {"messages": [...]} rendered by the chat template, or {"text": "..."}), cuts
/// each stream into sequences and draws a seeded sample without overlap, spread over all files in
/// proportion to their tokens. A sequence never joins two lines of a .jsonl file or two files, so
/// short lines give short sequences (of 2 ids or more); the rest of a stream is a shorter sequence
/// too. The last sequence is cut so that at most `tokens` ids are used.
///
/// `chat_template` may be null: a chat is then refused. Throws kNotFound, kIo, kLimit (a file of
/// more than 256 MiB), kCorrupt naming file and line, kInvalidArgument naming the file that holds
/// no text, for a file given twice, less than two sequences in all, or a text of which more than
/// half is unknown to the tokenizer. Fewer tokens than wanted, many unknown tokens or single bytes
/// are notices.
CalibrationData read_calibration(const CalibrationOptions& options,
                                 const text::Tokenizer& tokenizer,
                                 const text::ChatTemplate* chat_template,
                                 const ProgressCallback& progress = {},
                                 const CancelToken& cancel = {});

}  // namespace haq::quant
