// SPDX-License-Identifier: GPL-3.0-or-later
// Normalizers, pre-tokenizers and post-processors one by one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <nlohmann/json.hpp>

#include "engine/base/error.h"
#include "engine/text/normalizer.h"
#include "engine/text/post_processor.h"
#include "engine/text/pre_tokenizer.h"

namespace haq::text {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

std::string normalize(const char* rule, std::string text) {
  const json rules = json::parse(rule);
  Normalized work{std::move(text), 0};
  Normalizer::parse(Fields(rules, "test"))->apply(work);
  return work.text;
}

/// Pieces of a text that begins at offset 0 of the input.
std::vector<std::string> pieces(const char* rule, const std::string& text, std::size_t lead = 1) {
  const json rules = json::parse(rule);
  Pieces work{text, {{0, text.size(), lead, -1}}};
  PreTokenizer::parse(Fields(rules, "test"))->apply(work);
  std::vector<std::string> out;
  for (const Piece& piece : work.list) out.emplace_back(work.view(piece));
  return out;
}

std::string refusal(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return std::string(to_string(error.code())) + " " + error.what();
  }
  return "accepted";
}

TEST(Normalizers, UnicodeForms) {
  EXPECT_EQ(normalize(R"({"type":"NFC"})", "e\u0301\u0323 \u1100\u1161"), "\u1EB9\u0301 \uAC00");
  EXPECT_EQ(normalize(R"({"type":"NFD"})", "\u1EB9\u0301"), "e\u0323\u0301");
  EXPECT_EQ(normalize(R"({"type":"NFKC"})", "\uFB01 \u2460 \uFF21"), "fi 1 A");
  EXPECT_EQ(normalize(R"({"type":"NFKD"})", "\uFB01\u00E9"), "fie\u0301");
  // Excluded from composition; ASCII and NUL pass unchanged.
  EXPECT_EQ(normalize(R"({"type":"NFC"})", "\u0958"), "\u0915\u093C");
  EXPECT_EQ(normalize(R"({"type":"NFKC"})", std::string("a\0b", 3)), std::string("a\0b", 3));
}

TEST(Normalizers, LongRunOfMarksIsOrdered) {
  std::string mixed = "a";
  std::string ordered = "a";
  for (int i = 0; i < 50'000; ++i) mixed += i % 2 == 0 ? "\u0308" : "\u0323";
  for (int i = 0; i < 25'000; ++i) ordered += "\u0323";
  for (int i = 0; i < 25'000; ++i) ordered += "\u0308";
  EXPECT_EQ(normalize(R"({"type":"NFD"})", mixed), ordered);
}

TEST(Normalizers, SimpleRules) {
  EXPECT_EQ(normalize(R"({"type":"Lowercase"})", "\u0130ÀB\u1E9E"), "i\u0307àb\u00DF");
  EXPECT_EQ(normalize(R"({"type":"StripAccents"})", "e\u0301x"), "ex");
  EXPECT_EQ(normalize(R"({"type":"Strip"})", "\u3000 a b\n"), "a b");
  EXPECT_EQ(normalize(R"({"type":"Strip","strip_left":true,"strip_right":false})", " a "), "a ");
  EXPECT_EQ(normalize(R"({"type":"Prepend","prepend":"_"})", "a"), "_a");
  EXPECT_EQ(normalize(R"({"type":"Prepend","prepend":"_"})", ""), "");
  EXPECT_EQ(normalize(R"({"type":"Nmt"})", "a\tb\u200Bc\x01"), "a b c");
  EXPECT_EQ(normalize(R"({"type":"ByteLevel"})", "é "), "Ã©Ġ");
  EXPECT_EQ(normalize(R"({"type":"Replace","pattern":{"Regex":"a+"},"content":"<>"})", "baab"),
            "b<>b");
  EXPECT_EQ(normalize(R"({"type":"Replace","pattern":{"Regex":"x*"},"content":"-"})", "ab"),
            "-a-b-");
  EXPECT_EQ(normalize(R"({"type":"Sequence","normalizers":[{"type":"Lowercase"},
                          {"type":"Replace","pattern":{"String":"b"},"content":"c"}]})",
                      "ABC"),
            "acc");
}

TEST(Normalizers, Bert) {
  EXPECT_EQ(normalize(R"({"type":"BertNormalizer"})", "Àb\u200B\t中x\uFFFD"), "ab  中 x");
  EXPECT_EQ(normalize(R"({"type":"BertNormalizer","strip_accents":false})", "À"), "à");
  EXPECT_EQ(normalize(R"({"type":"BertNormalizer","clean_text":false,"handle_chinese_chars":false,
                          "lowercase":false})",
                      "À中\t"),
            "À中\t");
}

/// A SentencePiece table by hand: "a" -> "xy", and "ab" -> "z", which the shortest match hides.
TEST(Normalizers, PrecompiledTable) {
  // A double array with the root at 0 and the children of a node at offset ^ label. Units hold the
  // label in bits 0..7, has_leaf in bit 8 and the offset from bit 10 on.
  std::vector<std::uint32_t> units(1024, 0);
  const auto node = [](std::uint32_t label, bool leaf, std::uint32_t offset) {
    return label | (leaf ? 1u << 8 : 0u) | (offset << 10);
  };
  units[0] = node(0, false, 256);
  const std::uint32_t a = 256 ^ 'a';
  units[a] = node('a', true, a ^ 512);
  units[512] = 0x80000000u | 0;  // value: offset 0, "xy"
  units[512 ^ 'b'] = node('b', true, (512 ^ 'b') ^ 768);
  units[768] = 0x80000000u | 3;  // value: offset 3, "z"
  std::string blob(4, '\0');
  const auto bytes = static_cast<std::uint32_t>(units.size() * 4);
  std::memcpy(blob.data(), &bytes, 4);
  blob.append(reinterpret_cast<const char*>(units.data()), bytes);
  blob += std::string("xy\0z\0", 5);
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string base64;
  for (std::size_t i = 0; i < blob.size(); i += 3) {
    std::uint32_t word = 0;
    for (std::size_t k = 0; k < 3; ++k) {
      word = (word << 8) | (i + k < blob.size() ? static_cast<unsigned char>(blob[i + k]) : 0u);
    }
    for (std::size_t k = 0; k < 4; ++k) {
      base64 += i + k > blob.size() ? '=' : kDigits[(word >> (18 - 6 * k)) & 63];
    }
  }
  const json rule = {{"type", "Precompiled"}, {"precompiled_charsmap", base64}};
  EXPECT_EQ(normalize(rule.dump().c_str(), "abc a\u0301"), "xybc xy");
  const json empty = {{"type", "Precompiled"}, {"precompiled_charsmap", "AAAAAA=="}};
  EXPECT_EQ(normalize(empty.dump().c_str(), "abc"), "abc") << "a trie of no bytes has no rules";
  for (const char* broken : {"!!!!", "AA", "////", "/AAAAAAA"}) {
    const json bad = {{"type", "Precompiled"}, {"precompiled_charsmap", broken}};
    EXPECT_THAT(refusal([&] { normalize(bad.dump().c_str(), "a"); }), HasSubstr("charsmap"));
  }
}

TEST(PreTokenizers, SplitBehaviours) {
  const auto split = [](const char* behavior, bool invert) {
    json rule = {{"type", "Split"}, {"pattern", {{"String", "-"}}}};
    rule["behavior"] = behavior;
    rule["invert"] = invert;
    return pieces(rule.dump().c_str(), "the-final--countdown");
  };
  EXPECT_THAT(split("Removed", false), ElementsAre("the", "final", "countdown"));
  EXPECT_THAT(split("Isolated", false), ElementsAre("the", "-", "final", "-", "-", "countdown"));
  EXPECT_THAT(split("MergedWithPrevious", false), ElementsAre("the-", "final-", "-", "countdown"));
  EXPECT_THAT(split("MergedWithNext", false), ElementsAre("the", "-final", "-", "-countdown"));
  EXPECT_THAT(split("Contiguous", false), ElementsAre("the", "-", "final", "--", "countdown"));
  EXPECT_THAT(split("Removed", true), ElementsAre("-", "-", "-"));
}

TEST(PreTokenizers, WordsAndSigns) {
  EXPECT_THAT(pieces(R"({"type":"Whitespace"})", "How  are-you \u00E9\u0301_1?!"),
              ElementsAre("How", "are", "-", "you", "\u00E9\u0301_1", "?!"));
  EXPECT_THAT(pieces(R"({"type":"WhitespaceSplit"})", " a\u3000b-c\n"), ElementsAre("a", "b-c"));
  EXPECT_THAT(pieces(R"({"type":"BertPreTokenizer"})", "don't 中。"),
              ElementsAre("don", "'", "t", "中", "。"));
  EXPECT_THAT(pieces(R"({"type":"Punctuation","behavior":"Removed"})", "a,b$"),
              ElementsAre("a", "b"));
  EXPECT_THAT(pieces(R"({"type":"Digits","individual_digits":false})", "a12b²"),
              ElementsAre("a", "12", "b", "²"));
  EXPECT_THAT(pieces(R"({"type":"Digits","individual_digits":true})", "a12"),
              ElementsAre("a", "1", "2"));
  EXPECT_THAT(pieces(R"({"type":"CharDelimiterSplit","delimiter":"é"})", "aéb"),
              ElementsAre("a", "b"));
  EXPECT_THAT(pieces(R"({"type":"FixedLength","length":2})", "aébcd"),
              ElementsAre("aé", "bc", "d"));
}

TEST(PreTokenizers, Metaspace) {
  EXPECT_THAT(pieces(R"({"type":"Metaspace","replacement":"▁"})", "a b"), ElementsAre("▁a", "▁b"));
  EXPECT_THAT(pieces(R"({"type":"Metaspace","replacement":"▁"})", " a"), ElementsAre("▁a"));
  EXPECT_THAT(pieces(R"({"type":"Metaspace","replacement":"▁","prepend_scheme":"first"})", "a", 0),
              ElementsAre("a"));
  EXPECT_THAT(pieces(R"({"type":"Metaspace","replacement":"▁","prepend_scheme":"first"})", "a", 1),
              ElementsAre("▁a"));
  EXPECT_THAT(
      pieces(R"({"type":"Metaspace","replacement":"_","str_rep":"_","add_prefix_space":false,
                         "split":false})",
             "a b"),
      ElementsAre("a_b"));
  // "first" means offset 0 of the input: what a step before took away counts.
  EXPECT_THAT(pieces(R"({"type":"Sequence","pretokenizers":[{"type":"WhitespaceSplit"},
                         {"type":"Metaspace","replacement":"▁","prepend_scheme":"first"}]})",
                     " a b"),
              ElementsAre("a", "b"));
}

TEST(PreTokenizers, ByteLevel) {
  EXPECT_THAT(pieces(R"({"type":"ByteLevel","add_prefix_space":true})", "it's 42  é"),
              ElementsAre("Ġit", "'s", "Ġ42", "Ġ", "ĠÃ©"));
  EXPECT_THAT(pieces(R"({"type":"ByteLevel","add_prefix_space":false,"use_regex":false})", "a b"),
              ElementsAre("aĠb"));
}

TEST(Steps, UnknownOnesAreRefusedByName) {
  EXPECT_THAT(refusal([] { normalize(R"({"type":"Shout"})", ""); }),
              HasSubstr("unsupported test: the normalizer \"Shout\""));
  EXPECT_THAT(refusal([] { pieces(R"({"type":"UnicodeScripts"})", ""); }),
              HasSubstr("unsupported test: the pre-tokenizer \"UnicodeScripts\""));
  EXPECT_THAT(refusal([] { pieces(R"({"type":"Sequence","pretokenizers":[{"type":"X"}]})", ""); }),
              HasSubstr("test.pretokenizers[0]: the pre-tokenizer \"X\""));
  EXPECT_THAT(refusal([] { normalize(R"({"type":"NFC","harder":true})", ""); }),
              HasSubstr("unsupported test: the field \"harder\""));
  EXPECT_THAT(
      refusal([] { pieces(R"({"type":"Split","pattern":{"String":"a"},"behavior":"Odd"})", ""); }),
      HasSubstr("the split behavior \"Odd\""));
  EXPECT_THAT(refusal([] { pieces(R"({"type":"Metaspace","replacement":"ab"})", ""); }),
              HasSubstr("\"replacement\" must be one character"));
}

TEST(Steps, RulesThatBlowTextUpAreStopped) {
  json rule = {{"type", "Sequence"}, {"normalizers", json::array()}};
  const json grow = {
      {"type", "Replace"}, {"pattern", {{"String", "a"}}}, {"content", std::string(1000, 'a')}};
  for (int i = 0; i < 20; ++i) rule["normalizers"].push_back(grow);
  EXPECT_THAT(refusal([&] { normalize(rule.dump().c_str(), "a"); }), HasSubstr("limit"));
}

TEST(PostProcessors, AddSpecialTokens) {
  const auto apply = [](const char* rule, bool special) {
    const json rules = json::parse(rule);
    return PostProcessor::parse(Fields(rules, "test")).apply({7, 8}, special);
  };
  constexpr const char* kTemplate = R"({"type":"TemplateProcessing",
      "single":[{"SpecialToken":{"id":"[CLS]","type_id":0}},{"Sequence":{"id":"A","type_id":0}},
                {"SpecialToken":{"id":"[END]","type_id":0}}],
      "special_tokens":{"[CLS]":{"id":"[CLS]","ids":[1],"tokens":["[CLS]"]},
                        "[END]":{"id":"[END]","ids":[2,3],"tokens":["a","b"]}}})";
  EXPECT_THAT(apply(kTemplate, true), ElementsAre(1, 7, 8, 2, 3));
  EXPECT_THAT(apply(kTemplate, false), ElementsAre(7, 8));
  EXPECT_THAT(apply(R"({"type":"RobertaProcessing","cls":["<s>",0],"sep":["</s>",2]})", true),
              ElementsAre(0, 7, 8, 2));
  EXPECT_THAT(apply(R"({"type":"Sequence","processors":[{"type":"ByteLevel"},
                        {"type":"BertProcessing","cls":["c",5],"sep":["s",6]}]})",
                    true),
              ElementsAre(5, 7, 8, 6));
  EXPECT_THAT(refusal([&] { apply(R"({"type":"TemplateProcessing","single":[]})", true); }),
              HasSubstr("holds the text 0 times"));
  EXPECT_THAT(
      refusal([&] { apply(R"({"type":"BertProcessing","cls":["c",-1],"sep":["s",6]})", true); }),
      HasSubstr("\"cls\" must be a token and its id"));
}

}  // namespace
}  // namespace haq::text
