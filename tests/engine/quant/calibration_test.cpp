// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/quant/calibration.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <numeric>
#include <set>

#include "engine/base/error.h"
#include "tests/support/errors.h"
#include "tests/support/paths.h"

namespace haq::quant {
namespace {

namespace fs = std::filesystem;
using test::expect_error;
using test::TempDir;
using testing::HasSubstr;

const text::Tokenizer& tokenizer() {
  static const auto loaded =
      text::Tokenizer::load(test::source_dir() / "resources/models/demo-moe");
  return *loaded;
}
const text::ChatTemplate& chat_template() {
  static const auto loaded =
      text::ChatTemplate::load(test::source_dir() / "resources/models/demo-moe");
  return *loaded;
}

fs::path write(const TempDir& folder, const std::string& name, const std::string& text) {
  std::ofstream(folder.path() / name, std::ios::binary) << text;
  return folder.path() / name;
}

/// Sentences that are all different, so that their tokens tell where they came from.
std::string story(const std::string& who, int sentences) {
  std::string text;
  for (int i = 0; i < sentences; ++i) {
    text += who + " saw number " + std::to_string(i) + " in the garden. ";
  }
  return text;
}

CalibrationOptions options_for(std::vector<fs::path> files, std::int64_t tokens = 256,
                               std::int64_t length = 32) {
  CalibrationOptions options;
  options.files = std::move(files);
  options.tokens = tokens;
  options.sequence_length = length;
  return options;
}

CalibrationData read(const CalibrationOptions& options) {
  return read_calibration(options, tokenizer(), &chat_template());
}

std::int64_t total(const std::vector<std::vector<std::int32_t>>& sequences) {
  return std::accumulate(
      sequences.begin(), sequences.end(), std::int64_t{0},
      [](std::int64_t sum, const auto& s) { return sum + static_cast<std::int64_t>(s.size()); });
}

TEST(Calibration, DrawsTheWantedTokensWithoutOverlap) {
  const TempDir folder;
  const std::string text = story("Tom", 300);
  const CalibrationData data = read(options_for({write(folder, "a.txt", text)}, 512, 32));
  EXPECT_EQ(data.tokens, 512);
  EXPECT_EQ(total(data.sequences), 512);
  EXPECT_EQ(data.sequences.size(), 16U);
  EXPECT_GE(data.held_out.size(), 1U);
  text::Tokenizer::EncodeOptions plain;
  plain.add_special = false;
  const std::vector<std::int32_t> stream = tokenizer().encode(text, plain);
  EXPECT_EQ(data.available_tokens, static_cast<std::int64_t>(stream.size()));
  EXPECT_NEAR(data.bytes_per_token,
              static_cast<double>(text.size()) / static_cast<double>(stream.size()), 1e-9);
  std::set<std::ptrdiff_t> places;
  for (const auto* group : {&data.sequences, &data.held_out}) {
    for (const auto& sequence : *group) {
      const auto found =
          std::search(stream.begin(), stream.end(), sequence.begin(), sequence.end());
      ASSERT_NE(found, stream.end());
      EXPECT_EQ((found - stream.begin()) % 32, 0);
      EXPECT_TRUE(places.insert(found - stream.begin()).second) << "drawn twice";
    }
  }
  EXPECT_TRUE(data.notices.empty()) << data.notices.front();
}

TEST(Calibration, TheSeedDecidesTheDraw) {
  const TempDir folder;
  CalibrationOptions options = options_for({write(folder, "a.txt", story("Ann", 300))});
  const CalibrationData first = read(options);
  EXPECT_EQ(read(options).sequences, first.sequences);
  EXPECT_EQ(read(options).held_out, first.held_out);
  EXPECT_EQ(read(options).fingerprint, first.fingerprint);
  options.seed = 1;
  EXPECT_NE(read(options).sequences, first.sequences);
  EXPECT_NE(read(options).fingerprint, first.fingerprint);
}

TEST(Calibration, EveryFileGivesItsShare) {
  const TempDir folder;
  const fs::path small = write(folder, "small.txt", story("Zoe", 150));
  const fs::path large = write(folder, "large.txt", story("Max", 450));
  const CalibrationData data = read(options_for({small, large}, 1024, 16));
  std::int64_t of_small = 0, all = 0;
  for (const auto* group : {&data.sequences, &data.held_out}) {
    for (const auto& sequence : *group) {
      ++all;
      of_small += tokenizer().decode(sequence, false).find("Zoe") != std::string::npos ? 1 : 0;
    }
  }
  EXPECT_NEAR(static_cast<double>(of_small) / static_cast<double>(all), 0.25, 0.05);
}

TEST(Calibration, ChatsGoThroughTheTemplateAndStayApart) {
  const TempDir folder;
  std::string lines;
  for (int i = 0; i < 20; ++i) {
    lines += R"({"messages": [{"role": "user", "content": "Count to )" + std::to_string(i) +
             R"( <|im_end|>"}, {"role": "assistant", "content": "One."}]})" + "\r\n\n";
  }
  lines += R"({"text": "A plain line of text."})";
  const CalibrationData data = read(options_for({write(folder, "chats.jsonl", lines)}, 4096, 512));
  EXPECT_EQ(data.sequences.size() + data.held_out.size(), 21U);
  const std::int32_t start = *tokenizer().id_of("<|im_start|>");
  const std::int32_t end = *tokenizer().id_of("<|im_end|>");
  int chats = 0;
  for (const auto& sequence : data.sequences) {
    const auto starts = std::count(sequence.begin(), sequence.end(), start);
    if (starts == 0) continue;
    ++chats;
    EXPECT_EQ(starts, 2);
    // What a message says never becomes a special token.
    EXPECT_EQ(std::count(sequence.begin(), sequence.end(), end), 2);
  }
  EXPECT_GE(chats, 18);
  ASSERT_EQ(data.notices.size(), 1U);
  EXPECT_THAT(data.notices[0], HasSubstr("4096 were wanted"));
}

TEST(Calibration, AByteOrderMarkIsNoText) {
  const TempDir folder;
  const CalibrationData with =
      read(options_for({write(folder, "a.txt", "\xEF\xBB\xBF" + story("Ann", 60))}));
  const CalibrationData without = read(options_for({write(folder, "b.txt", story("Ann", 60))}));
  EXPECT_EQ(with.fingerprint, without.fingerprint);
}

TEST(Calibration, EmptyOrShortTextIsRefusedByName) {
  const TempDir folder;
  for (const char* text : {"", " \n\t\xC2\xA0\n"}) {
    const fs::path file = write(folder, "empty.txt", text);
    expect_error(ErrorCode::kInvalidArgument, {"empty.txt", "no text"},
                 [&] { read(options_for({file})); });
  }
  expect_error(ErrorCode::kInvalidArgument, {"blank.jsonl", "no text"},
               [&] { read(options_for({write(folder, "blank.jsonl", "{\"text\": \" \"}\n")})); });
  expect_error(ErrorCode::kInvalidArgument, {"short.txt", "1 sequence of 512"},
               [&] { read(options_for({write(folder, "short.txt", "Hi there.")}, 256, 512)); });
  expect_error(ErrorCode::kNotFound, {"nowhere.txt"},
               [&] { read(options_for({folder.path() / "nowhere.txt"})); });
  const fs::path twice = write(folder, "twice.txt", story("Ann", 60));
  expect_error(ErrorCode::kInvalidArgument, {"twice.txt", "given twice"}, [&] {
    read(options_for({twice, folder.path() / "." / "twice.txt"}));
  });
  expect_error(ErrorCode::kInvalidArgument, {"no calibration text"},
               [&] { read(options_for({})); });
}

TEST(Calibration, BrokenFilesNameTheLine) {
  const TempDir folder;
  expect_error(ErrorCode::kCorrupt, {"latin1.txt", "line 2", "UTF-8"},
               [&] { read(options_for({write(folder, "latin1.txt", "good line\ncaf\xe9\n")})); });
  const std::string good = "{\"text\": \"fine\"}\n";
  const std::vector<std::pair<std::string, std::string>> bad = {
      {"{\"text\": ", "line 2"},
      {"[1, 2]", "no JSON object"},
      {"{\"body\": \"x\"}", "neither"},
      {"{\"text\": 7}", "neither"},
      {"{\"messages\": []}", "no list of messages"},
      {"{\"messages\": [{\"content\": \"x\"}]}", "no \"role\""},
      {"{\"messages\": [7]}", "no \"role\""},
      {"{\"text\": \"a\", \"text\": \"b\"}", "line 2"},
  };
  for (const auto& [line, part] : bad) {
    SCOPED_TRACE(line);
    expect_error(ErrorCode::kCorrupt, {"bad.jsonl", "line 2", part},
                 [&] { read(options_for({write(folder, "bad.jsonl", good + line + "\n")})); });
  }
  expect_error(ErrorCode::kInvalidArgument, {"chat.jsonl", "line 2", "no chat template"}, [&] {
    const fs::path file =
        write(folder, "chat.jsonl", good + R"({"messages": [{"role": "user", "content": "x"}]})");
    read_calibration(options_for({file}), tokenizer(), nullptr);
  });
}

TEST(Calibration, AnotherScriptIsNoticed) {
  const TempDir folder;
  std::string text;
  for (int i = 0; i < 200; ++i) text += "今日は天気がいいから散歩しましょう。";
  const CalibrationData data = read(options_for({write(folder, "a.txt", text)}));
  EXPECT_GT(data.byte_fallback_share, 0.5);
  ASSERT_EQ(data.notices.size(), 1U);
  EXPECT_THAT(data.notices[0], HasSubstr("another language or script"));
  EXPECT_LT(read(options_for({write(folder, "b.txt", story("Ann", 60))})).byte_fallback_share,
            0.01);
}

TEST(Calibration, TextOfUnknownWordsIsRefused) {
  const auto words = text::Tokenizer::parse(
      R"({"version": "1.0", "added_tokens": [], "pre_tokenizer": {"type": "Whitespace"},
          "model": {"type": "WordLevel", "unk_token": "<unk>",
                    "vocab": {"<unk>": 0, "the": 1, "dog": 2}}})",
      "words");
  EXPECT_EQ(words->unknown_id(), 0);
  EXPECT_EQ(tokenizer().unknown_id(), std::nullopt);
  const TempDir folder;
  std::string foreign, mixed;
  for (int i = 0; i < 100; ++i) {
    foreign += "le chien ";
    mixed += "the dog the dog the dog the cat ";
  }
  const fs::path file = write(folder, "foreign.txt", foreign);
  expect_error(ErrorCode::kInvalidArgument, {"foreign.txt", "100 %", "unknown"},
               [&] { read_calibration(options_for({file}), *words, nullptr); });
  const CalibrationData data =
      read_calibration(options_for({write(folder, "mixed.txt", mixed)}), *words, nullptr);
  EXPECT_NEAR(data.unknown_share, 0.125, 0.01);
  ASSERT_FALSE(data.notices.empty());
  EXPECT_THAT(data.notices[0], HasSubstr("unknown to the tokenizer"));
}

TEST(Calibration, StopsWhenAsked) {
  const TempDir folder;
  const CancelToken cancel;
  cancel.cancel();
  expect_error(ErrorCode::kCancelled, {}, [&] {
    read_calibration(options_for({write(folder, "a.txt", story("Ann", 60))}), tokenizer(),
                     &chat_template(), {}, cancel);
  });
}

TEST(Calibration, OddOptionsAreRefused) {
  const TempDir folder;
  const fs::path file = write(folder, "a.txt", story("Ann", 60));
  expect_error(ErrorCode::kInvalidArgument, {"tokens"}, [&] { read(options_for({file}, 1)); });
  expect_error(ErrorCode::kInvalidArgument, {"sequence length"},
               [&] { read(options_for({file}, 64, 1)); });
  CalibrationOptions options = options_for({file});
  options.held_out_share = 0;
  expect_error(ErrorCode::kInvalidArgument, {"held-out"}, [&] { read(options); });
}

TEST(Calibration, LongTextIsReadInParts) {
  const TempDir folder;
  std::string text;
  while (text.size() < (std::size_t{5} << 19)) text += "The dog ran to the park and played.\n";
  int calls = 0;
  std::uint64_t last = 0;
  const CalibrationData data =
      read_calibration(options_for({write(folder, "a.txt", text)}), tokenizer(), &chat_template(),
                       [&](const Progress& progress) {
                         ++calls;
                         EXPECT_GE(progress.done, last);
                         EXPECT_LE(progress.done, progress.total);
                         last = progress.done;
                       });
  EXPECT_EQ(calls, 3);
  text::Tokenizer::EncodeOptions plain;
  plain.add_special = false;
  // Line ends are where this tokenizer's pieces end, so the parts give the ids of the whole.
  EXPECT_EQ(data.available_tokens,
            static_cast<std::int64_t>(tokenizer().encode(text, plain).size()));
}

}  // namespace
}  // namespace haq::quant
