// SPDX-License-Identifier: GPL-3.0-or-later
// Text that spells special tokens, and where special tokens lie in a text.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "engine/base/error.h"
#include "tests/engine/text/tokenizer_data.h"
#include "tests/support/paths.h"

namespace haq::test {
namespace {

using text::TokenId;
using text::Tokenizer;
using Ids = std::vector<TokenId>;
constexpr Tokenizer::EncodeOptions kPlain{.add_special = false, .parse_special = false};

std::vector<std::string> all_names() {
  std::vector<std::string> names = small_tokenizer_names();
  for (const std::string& name : large_tokenizer_names()) names.push_back(name);
  return names;
}

class SpecialTokens : public testing::TestWithParam<std::string> {};

TEST_P(SpecialTokens, NeverComeFromPlainText) {
  const auto tokenizer = golden_tokenizer(GetParam());
  if (tokenizer == nullptr) GTEST_SKIP() << "no shared data";
  std::vector<std::string> spellings;
  std::vector<TokenId> specials;
  for (TokenId id = 0; id < tokenizer->size(); ++id) {
    if (!tokenizer->is_special(id)) continue;
    specials.push_back(id);
    spellings.push_back(tokenizer->piece(id));
  }
  ASSERT_FALSE(specials.empty());
  std::mt19937 random(7);
  const std::vector<std::string> filler{" ", "a", "\n", "  ", "dog", "é", "<", "|", ">", "[", "3."};
  int recognised = 0;
  for (int round = 0; round < 200; ++round) {
    std::string source;
    for (int i = 0; i < 12; ++i) {
      const auto& from = random() % 2 == 0 ? spellings : filler;
      source += from[random() % from.size()];
    }
    for (const TokenId id : tokenizer->encode(source, kPlain)) {
      // The unknown token stands for characters the vocabulary lacks, whatever they spell.
      const std::string piece = tokenizer->piece(id);
      EXPECT_TRUE(!tokenizer->is_special(id) || piece == "<unk>" || piece == "[UNK]")
          << piece << " from " << source;
    }
    for (const TokenId id : tokenizer->encode(source)) recognised += tokenizer->is_special(id);
  }
  EXPECT_GT(recognised, 100);
}

TEST_P(SpecialTokens, AreFoundWhereEncodeCutsThem) {
  const auto tokenizer = golden_tokenizer(GetParam());
  if (tokenizer == nullptr) GTEST_SKIP() << "no shared data";
  std::mt19937 random(11);
  std::vector<std::string> parts{" ", "a", "\n", "  ", "dog ", "é"};
  for (TokenId id = 0; id < tokenizer->size(); ++id) {
    if (tokenizer->is_special(id)) parts.push_back(tokenizer->piece(id));
  }
  for (int round = 0; round < 100; ++round) {
    std::string source;
    for (int i = 0; i < 10; ++i) source += parts[random() % parts.size()];
    Ids from_encode;
    for (const TokenId id :
         tokenizer->encode(source, {.add_special = false, .parse_special = true})) {
      if (tokenizer->is_special(id)) from_encode.push_back(id);
    }
    Ids found;
    std::size_t previous = 0;
    for (const auto& match : tokenizer->find_special(source)) {
      EXPECT_LE(previous, match.begin);
      EXPECT_LT(match.begin, match.end);
      EXPECT_LE(match.end, source.size());
      EXPECT_NE(
          source.substr(match.begin, match.end - match.begin).find(tokenizer->piece(match.id)),
          std::string::npos);
      previous = match.end;
      found.push_back(match.id);
    }
    // The model itself may give the unknown token, which is special too.
    const auto unknown = [&](TokenId id) {
      return tokenizer->piece(id) == "<unk>" || tokenizer->piece(id) == "[UNK]";
    };
    std::erase_if(from_encode, unknown);
    std::erase_if(found, unknown);
    EXPECT_EQ(found, from_encode) << source;
  }
}

INSTANTIATE_TEST_SUITE_P(All, SpecialTokens, testing::ValuesIn(all_names()),
                         [](const auto& name) { return name.param; });

TEST(SpecialTokenRules, BlanksBelongToTheMatch) {
  const auto tokenizer = golden_tokenizer("bytelevel_addedtokens");
  const auto found = tokenizer->find_special("a <|im_start|>  b <mask> c");
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].begin, 2u);
  EXPECT_EQ(found[0].end, 16u);
  EXPECT_EQ(found[1].begin, 17u);
  EXPECT_EQ(found[1].end, 25u);
  EXPECT_EQ(found[1].id, 482);
}

TEST(SpecialTokenRules, OtherAddedTokensStayInPlainText) {
  const auto tokenizer = golden_tokenizer("bytelevel_addedtokens");
  const Ids ids = tokenizer->encode("<think><|im_start|>", kPlain);
  EXPECT_EQ(ids.front(), 483);
  EXPECT_EQ(std::count(ids.begin(), ids.end(), 480), 0);
  // Byte-level text comes back as it was, lower-cased and marked by this tokenizer's rules.
  EXPECT_EQ(tokenizer->decode(ids, true), "<think> <|im_start|>");
}

TEST(SpecialTokenRules, ModelsThatSpellThemAreTold) {
  // Unigram would choose the piece "<s>", which costs nothing.
  const auto tokenizer = Tokenizer::parse(R"({"version":"1.0",
      "added_tokens":[{"id":1,"content":"<s>","special":true,"normalized":false}],
      "model":{"type":"Unigram","unk_id":0,
               "vocab":[["<unk>",0.0],["<s>",0.0],["<",-3.0],["s",-2.0],[">",-4.5]]}})",
                                          "test");
  EXPECT_EQ(tokenizer->encode("<s>"), (Ids{1}));
  EXPECT_EQ(tokenizer->encode("<s>", kPlain), (Ids{2, 3, 4}));
  const auto words = Tokenizer::parse(R"({"version":"1.0",
      "added_tokens":[{"id":1,"content":"<s>","special":true,"normalized":false}],
      "model":{"type":"WordLevel","unk_token":"?","vocab":{"?":0,"<s>":1}}})",
                                      "test");
  EXPECT_EQ(words->encode("<s>", kPlain), (Ids{0}));
  const auto pairs = Tokenizer::parse(R"({"version":"1.0",
      "added_tokens":[{"id":0,"content":"<s>","special":true,"normalized":false}],
      "model":{"type":"BPE","ignore_merges":true,"vocab":{"<s>":0,"<":1,"s":2,">":3,"<s":4},
               "merges":["< s","<s >"]}})",
                                      "test");
  EXPECT_EQ(pairs->encode("<s>"), (Ids{0}));
  EXPECT_EQ(pairs->encode("<s>", kPlain), (Ids{4, 3}));
}

}  // namespace
}  // namespace haq::test
