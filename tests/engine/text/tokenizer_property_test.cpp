// SPDX-License-Identifier: GPL-3.0-or-later
#include <gtest/gtest.h>

#include <random>
#include <thread>

#include "engine/base/error.h"
#include "engine/text/unicode.h"
#include "tests/engine/text/tokenizer_data.h"
#include "tests/support/paths.h"

namespace haq::test {
namespace {

using text::TokenId;
using text::Tokenizer;
using Ids = std::vector<TokenId>;

/// Random text over the kinds of characters that tokenizers treat differently.
std::string random_text(std::mt19937& random, int length) {
  static const std::vector<std::u32string> kinds{U"abcdefgXYZ",
                                                 U"0123456789",
                                                 U"     \n\t\r",
                                                 U".,-_!?'\"<|>",
                                                 U"éßÀñ\u0301\u0323",
                                                 U"漢字かなカ。",
                                                 U"😀👩\u200D👧🏽",
                                                 U"\u00A0\u3000\u200B\uFEFF\u180E",
                                                 std::u32string(1, U'\0'),
                                                 U"אبग한"};
  std::string out;
  for (int i = 0; i < length; ++i) {
    const auto& kind = kinds[random() % (random() % 3 == 0 ? kinds.size() : 4)];
    text::append_utf8(out, kind[random() % kind.size()]);
  }
  return out;
}

Ids random_ids(std::mt19937& random, const Tokenizer& tokenizer, int count) {
  Ids ids;
  for (int i = 0; i < count; ++i) {
    ids.push_back(static_cast<TokenId>(random() % static_cast<unsigned>(tokenizer.size())));
  }
  return ids;
}

bool is_byte_token(const std::string& piece) {
  return piece.size() == 6 && piece.starts_with("<0x");
}

TEST(TokenizerProperties, ByteLevelTextComesBack) {
  for (const char* name : {"bytelevel_deepseek_chain", "gpt2"}) {
    const auto tokenizer = golden_tokenizer(name);
    if (tokenizer == nullptr) continue;  // lies in the shared data
    std::mt19937 random(3);
    for (int round = 0; round < 300; ++round) {
      const std::string source = random_text(random, 1 + static_cast<int>(random() % 60));
      const Ids ids = tokenizer->encode(source, {.add_special = false, .parse_special = false});
      EXPECT_EQ(tokenizer->decode(ids, false), source) << name;
    }
  }
}

class EveryTokenizer : public testing::TestWithParam<std::string> {};

TEST_P(EveryTokenizer, StreamsWhatItDecodes) {
  const auto tokenizer = golden_tokenizer(GetParam());
  if (tokenizer == nullptr) GTEST_SKIP() << "no shared data";
  std::mt19937 random(5);
  for (int round = 0; round < 150; ++round) {
    Ids ids = random_ids(random, *tokenizer, 30);
    // Runs of byte tokens that are not UTF-8 decode differently as a whole: leave them out here.
    std::erase_if(ids, [&](TokenId id) { return is_byte_token(tokenizer->piece(id)); });
    const bool skip = round % 2 == 0;
    const auto split = static_cast<std::size_t>(random() % (ids.size() + 1));
    const std::span<const TokenId> all(ids);
    // The stream shows exactly what is not on screen yet. A prompt that ends within a character has
    // shown a replacement character for it; cut only where it does not.
    const std::string before = tokenizer->decode(all.first(split), skip);
    const std::string full = tokenizer->decode(ids, skip);
    if (!full.starts_with(before) || before.ends_with(text::kReplacementCharacter)) continue;
    const auto stream = tokenizer->stream(all.first(split), skip);
    std::string shown = before;
    for (const TokenId id : all.subspan(split)) {
      const std::string delta = stream->push(id);
      EXPECT_TRUE(text::is_valid_utf8(delta));
      shown += delta;
    }
    shown += stream->flush();
    EXPECT_EQ(shown, full);
  }
}

TEST_P(EveryTokenizer, StreamsAnyIdsAsValidText) {
  const auto tokenizer = golden_tokenizer(GetParam());
  if (tokenizer == nullptr) GTEST_SKIP() << "no shared data";
  std::mt19937 random(9);
  for (int round = 0; round < 100; ++round) {
    const auto stream = tokenizer->stream(random_ids(random, *tokenizer, 3), false);
    for (const TokenId id : random_ids(random, *tokenizer, 20)) {
      EXPECT_TRUE(text::is_valid_utf8(stream->push(id)));
    }
    EXPECT_TRUE(text::is_valid_utf8(stream->flush()));
  }
}

TEST_P(EveryTokenizer, EncodesAnyTextIntoKnownIds) {
  const auto tokenizer = golden_tokenizer(GetParam());
  if (tokenizer == nullptr) GTEST_SKIP() << "no shared data";
  std::mt19937 random(13);
  for (int round = 0; round < 150; ++round) {
    const std::string source = random_text(random, static_cast<int>(random() % 80));
    for (const TokenId id : tokenizer->encode(source)) {
      EXPECT_EQ(tokenizer->id_of(tokenizer->piece(id)), id);
    }
  }
  EXPECT_THROW(tokenizer->encode("\xC3"), Error);
  EXPECT_THROW(tokenizer->find_special("a\xFF"), Error);
  EXPECT_THROW(tokenizer->decode(Ids{-1}, false), Error);
  EXPECT_THROW(tokenizer->decode(Ids{tokenizer->size()}, false), Error);
  EXPECT_THROW(tokenizer->piece(tokenizer->size()), Error);
  EXPECT_FALSE(tokenizer->id_of("no such token, surely"));
}

std::vector<std::string> every_name() {
  std::vector<std::string> names = small_tokenizer_names();
  for (const std::string& name : large_tokenizer_names()) names.push_back(name);
  return names;
}

INSTANTIATE_TEST_SUITE_P(All, EveryTokenizer, testing::ValuesIn(every_name()),
                         [](const auto& name) { return name.param; });

TEST(TokenizerProperties, RepeatedWordsGetTheSameIds) {
  // The cache of words must not change a result: text in one call equals its lines one by one.
  const auto tokenizer = golden_tokenizer("bytelevel_deepseek_chain");
  std::mt19937 random(17);
  std::string all;
  Ids parts;
  for (int i = 0; i < 200; ++i) {
    const std::string line = "word" + std::to_string(random() % 9) + " again\n";
    all += line;
    const Ids ids = tokenizer->encode(line, {.add_special = false, .parse_special = true});
    parts.insert(parts.end(), ids.begin(), ids.end());
  }
  EXPECT_EQ(tokenizer->encode(all, {.add_special = false, .parse_special = true}), parts);
}

TEST(TokenizerProperties, ManyThreadsAgree) {
  const auto tokenizer = golden_tokenizer("bytelevel_split_regex");
  std::mt19937 random(19);
  const std::string source = random_text(random, 2000);
  const Ids expected = tokenizer->encode(source);
  std::vector<Ids> results(4);
  std::vector<std::thread> threads;
  for (Ids& result : results) {
    threads.emplace_back([&result, &tokenizer, &source] { result = tokenizer->encode(source); });
  }
  for (std::thread& thread : threads) thread.join();
  for (const Ids& result : results) EXPECT_EQ(result, expected);
}

TEST(TokenizerProperties, StreamsOutliveTheirTokenizer) {
  auto tokenizer = Tokenizer::load(golden_dir() / "tokenizers/wordlevel");
  const auto stream = tokenizer->stream({}, false);
  const std::string first = tokenizer->piece(1);
  tokenizer.reset();
  EXPECT_EQ(stream->push(1), first);
}

}  // namespace
}  // namespace haq::test
