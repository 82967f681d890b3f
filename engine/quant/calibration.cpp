// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/quant/calibration.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <span>
#include <unordered_map>

#include "engine/base/error.h"
#include "engine/base/hash.h"
#include "engine/quant/calibration_text.h"
#include "engine/text/unicode.h"

namespace haq::quant {

namespace {

using Ids = std::vector<std::int32_t>;

constexpr double kUnknownNotice = 0.02, kUnknownRefused = 0.5, kBytesNotice = 0.1;

/// splitmix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014): the
/// same numbers with every compiler.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  /// 0 .. bound - 1; the bias for small bounds is far below what a sample can show.
  std::size_t below(std::size_t bound) { return static_cast<std::size_t>(next() % bound); }

 private:
  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9E3779B97F4A7C15ULL);
    z = (z ^ (z >> 30U)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27U)) * 0x94D049BB133111EBULL;
    return z ^ (z >> 31U);
  }
  std::uint64_t state_;
};

template <typename T>
void shuffle(std::vector<T>& values, Random& random) {
  for (std::size_t i = values.size(); i > 1; --i) std::swap(values[i - 1], values[random.below(i)]);
}

void check_options(const CalibrationOptions& options) {
  if (options.files.empty()) {
    throw Error(ErrorCode::kInvalidArgument, "no calibration text is given",
                "give text files, or .jsonl files with chats");
  }
  if (options.tokens < 2) {
    fail(ErrorCode::kInvalidArgument, "{} calibration tokens are wanted, expected 2 or more",
         options.tokens);
  }
  if (options.sequence_length < 2) {
    fail(ErrorCode::kInvalidArgument, "the sequence length is {}, expected 2 or more",
         options.sequence_length);
  }
  if (!(options.held_out_share > 0 && options.held_out_share <= 0.5)) {
    fail(ErrorCode::kInvalidArgument, "the held-out share is {}, expected more than 0, at most 0.5",
         options.held_out_share);
  }
  std::set<std::filesystem::path> seen;
  for (const auto& file : options.files) {
    std::error_code ignored;
    const std::filesystem::path real = std::filesystem::weakly_canonical(file, ignored);
    if (!seen.insert(real.empty() ? file : real).second) {
      throw Error(ErrorCode::kInvalidArgument, fmt::format("{} is given twice", file.string()),
                  "give every file once: held-out text must not be calibration text");
    }
  }
}

std::vector<CalibrationText> read_files(const CalibrationOptions& options,
                                        const text::Tokenizer& tokenizer,
                                        const text::ChatTemplate* chat_template,
                                        const ProgressCallback& progress,
                                        const CancelToken& cancel) {
  std::vector<CalibrationText> texts;
  for (const auto& file : options.files) {
    // Progress as if all files were of one size: each is a step of 1000.
    const auto done = static_cast<std::uint64_t>(texts.size()) * 1000;
    const ProgressCallback part = [&](const Progress& p) {
      if (!progress) return;
      const std::uint64_t inside = p.total > 0 ? p.done * 1000 / p.total : 0;
      progress({p.stage, done + inside, options.files.size() * 1000, ""});
    };
    texts.push_back(read_calibration_file(file, tokenizer, chat_template, part, cancel));
  }
  return texts;
}

/// The sequences of a file: each stream cut into pieces of `length` and a rest.
std::vector<std::span<const std::int32_t>> cut(const CalibrationText& text, std::size_t length) {
  std::vector<std::span<const std::int32_t>> pieces;
  for (const Ids& stream : text.streams) {
    const std::span<const std::int32_t> all(stream);
    for (std::size_t begin = 0; begin + 2 <= all.size(); begin += length) {
      pieces.push_back(all.subspan(begin, std::min(length, all.size() - begin)));
    }
  }
  return pieces;
}

/// Draws about `wanted` ids, or all when there are fewer: from the files so far never fewer than
/// their share of the tokens so far.
std::vector<Ids> draw(const std::vector<CalibrationText>& texts, std::int64_t length, double wanted,
                      std::int64_t available, Random& random) {
  std::vector<Ids> drawn;
  std::int64_t tokens_so_far = 0, taken = 0;
  for (const CalibrationText& text : texts) {
    tokens_so_far += text.tokens;
    const double target =
        wanted * static_cast<double>(tokens_so_far) / static_cast<double>(available);
    auto pieces = cut(text, static_cast<std::size_t>(length));
    shuffle(pieces, random);
    for (const auto& piece : pieces) {
      if (static_cast<double>(taken) >= target) break;
      drawn.emplace_back(piece.begin(), piece.end());
      taken += static_cast<std::int64_t>(piece.size());
    }
  }
  return drawn;
}

/// Cuts `sequences` down to `tokens` ids; returns how many there are then.
std::int64_t limit_tokens(std::vector<Ids>& sequences, std::int64_t tokens) {
  std::int64_t sum = 0;
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    const auto size = static_cast<std::int64_t>(sequences[i].size());
    const std::int64_t keep = std::min(size, tokens - sum);
    if (keep < 2) {
      sequences.resize(i);
      break;
    }
    sequences[i].resize(static_cast<std::size_t>(keep));
    sum += keep;
  }
  return sum;
}

/// Counts ids that say little about the text.
void count_odd_ids(const text::Tokenizer& tokenizer, CalibrationData& data) {
  std::unordered_map<std::int32_t, bool> is_part;
  std::int64_t unknown = 0, parts = 0, all = 0;
  const std::optional<text::TokenId> unknown_id = tokenizer.unknown_id();
  for (const auto* group : {&data.sequences, &data.held_out}) {
    for (const Ids& sequence : *group) {
      for (const std::int32_t id : sequence) {
        ++all;
        if (unknown_id && id == *unknown_id) {
          ++unknown;
          continue;
        }
        const auto [found, added] = is_part.try_emplace(id, false);
        if (added) {
          const std::string alone = tokenizer.decode(std::span(&id, 1), false);
          found->second = alone.find(text::kReplacementCharacter) != std::string::npos;
        }
        parts += found->second ? 1 : 0;
      }
    }
  }
  data.unknown_share = static_cast<double>(unknown) / static_cast<double>(all);
  data.byte_fallback_share = static_cast<double>(parts) / static_cast<double>(all);
}

std::string names(const std::vector<std::filesystem::path>& files) {
  return files.size() == 1
             ? files.front().string()
             : fmt::format("{} and {} more", files.front().string(), files.size() - 1);
}

void judge(const CalibrationOptions& options, CalibrationData& data) {
  if (data.unknown_share > kUnknownRefused) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{}: {:.0f} % of the tokens are unknown to the tokenizer",
                            names(options.files), 100 * data.unknown_share),
                "give text in a language and script that the model was made for");
  }
  if (data.unknown_share > kUnknownNotice) {
    data.notices.push_back(
        fmt::format("{:.0f} % of the calibration tokens are unknown to the tokenizer: the text may "
                    "be in another language or script than the tokenizer was made for.",
                    100 * data.unknown_share));
  }
  if (data.byte_fallback_share > kBytesNotice) {
    data.notices.push_back(fmt::format(
        "{:.0f} % of the calibration tokens are parts of characters: the text may be in another "
        "language or script than the tokenizer was made for.",
        100 * data.byte_fallback_share));
  }
  if (data.tokens < options.tokens) {
    data.notices.push_back(fmt::format("The calibration text gives {} tokens where {} were wanted.",
                                       data.tokens, options.tokens));
  }
}

std::string fingerprint_of(const CalibrationData& data) {
  Hash128 hash;
  for (const auto* group : {&data.sequences, &data.held_out}) {
    hash.update(fmt::format("{};", group->size()));
    for (const Ids& sequence : *group) {
      hash.update(fmt::format("{};", sequence.size()));
      hash.update(std::as_bytes(std::span(sequence)));
    }
  }
  return hash.hex();
}

}  // namespace

CalibrationData read_calibration(const CalibrationOptions& options,
                                 const text::Tokenizer& tokenizer,
                                 const text::ChatTemplate* chat_template,
                                 const ProgressCallback& progress, const CancelToken& cancel) {
  check_options(options);
  const std::vector<CalibrationText> texts =
      read_files(options, tokenizer, chat_template, progress, cancel);
  CalibrationData data;
  std::int64_t bytes = 0;
  for (const CalibrationText& text : texts) {
    data.available_tokens += text.tokens;
    bytes += text.bytes;
  }
  data.bytes_per_token = static_cast<double>(bytes) / static_cast<double>(data.available_tokens);

  Random random(options.seed);
  const auto wanted = static_cast<double>(options.tokens);
  // One whole sequence more than wanted at least: one is always held out.
  const double with_held_out = std::max(wanted / (1 - options.held_out_share),
                                        wanted + static_cast<double>(options.sequence_length));
  data.sequences =
      draw(texts, options.sequence_length, with_held_out, data.available_tokens, random);
  if (data.sequences.size() < 2) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{}: {} tokens give {} sequence{} of {}, at least 2 are needed",
                            names(options.files), data.available_tokens, data.sequences.size(),
                            data.sequences.size() == 1 ? "" : "s", options.sequence_length),
                "give more text, or a smaller sequence length");
  }
  shuffle(data.sequences, random);
  const auto held_out = std::max<std::size_t>(
      1, static_cast<std::size_t>(options.held_out_share *
                                  static_cast<double>(data.sequences.size())));
  const auto split = data.sequences.begin() + static_cast<std::ptrdiff_t>(held_out);
  data.held_out.assign(std::make_move_iterator(data.sequences.begin()),
                       std::make_move_iterator(split));
  data.sequences.erase(data.sequences.begin(), split);
  data.tokens = limit_tokens(data.sequences, options.tokens);

  count_odd_ids(tokenizer, data);
  judge(options, data);
  data.fingerprint = fingerprint_of(data);
  return data;
}

}  // namespace haq::quant
