// SPDX-License-Identifier: GPL-3.0-or-later
// Files that lie, break off or want too much.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "engine/base/error.h"
#include "engine/base/file.h"
#include "engine/text/tokenizer.h"
#include "tests/engine/text/tokenizer_data.h"
#include "tests/support/paths.h"

namespace haq::test {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using text::TokenId;
using text::Tokenizer;
using Ids = std::vector<TokenId>;

std::string refusal(const std::string& file) {
  try {
    Tokenizer::parse(file, "some/tokenizer.json");
  } catch (const Error& error) {
    return std::string(to_string(error.code())) + " " + error.what();
  }
  return "accepted";
}

json small_bpe() {
  return json::parse(R"({"version":"1.0","model":{"type":"BPE","vocab":{"a":0,"b":1,"ab":2},
                         "merges":["a b"]}})");
}

/// The small file with one member of the model changed.
std::string with_model(const char* key, const json& value) {
  json file = small_bpe();
  file["model"][key] = value;
  return file.dump();
}

std::string with_member(const char* key, const json& value) {
  json file = small_bpe();
  file[key] = value;
  return file.dump();
}

TEST(TokenizerFaults, TheSmallFileIsGood) {
  EXPECT_EQ(Tokenizer::parse(small_bpe().dump(), "x")->encode("abba"), (Ids{2, 1, 0}));
}

TEST(TokenizerFaults, EveryTruncationIsRefused) {
  const std::string whole = small_bpe().dump();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_THAT(refusal(whole.substr(0, size)),
                HasSubstr("corrupt some/tokenizer.json: not valid JSON"));
  }
}

TEST(TokenizerFaults, EveryChangedByteIsReadOrRefused) {
  const std::string whole =
      read_text_file(golden_dir() / "tokenizers/bpe_split_behaviors/tokenizer.json", 1 << 20);
  for (std::size_t at = 0; at < whole.size(); at += 7) {
    std::string changed = whole;
    changed[at] = static_cast<char>(changed[at] ^ (1 << (at % 7)));
    try {
      Tokenizer::parse(changed, "x")->encode("Hello - 12345 w\u00F6rld_!");
    } catch (const Error&) {  // refused: as good
    }
  }
}

TEST(TokenizerFaults, JsonBombs) {
  EXPECT_THAT(refusal(std::string(100'000, '[')), HasSubstr("nested deeper than the limit"));
  std::string deep;
  for (int i = 0; i < 100; ++i) deep += R"({"normalizer":)";
  EXPECT_THAT(refusal(deep), HasSubstr("nested deeper than the limit"));
  EXPECT_THAT(refusal(R"({"version":"1.0","version":"1.0"})"),
              HasSubstr("\"version\" occurs twice"));
  EXPECT_THAT(refusal(R"({"model":{"vocab":{},"vocab":null}})"),
              HasSubstr("\"vocab\" occurs twice"));
  EXPECT_THAT(refusal("{\"a\":\"\xFF\"}"), HasSubstr("not valid JSON"));
  EXPECT_THAT(refusal(small_bpe().dump() + "x"), HasSubstr("not valid JSON"));
}

TEST(TokenizerFaults, WrongShapes) {
  for (const char* file : {"[]",
                           "3",
                           "null",
                           "{}",
                           R"({"model":[]})",
                           R"({"model":{"type":"BPE"}})",
                           R"({"model":{"type":"BPE","vocab":3,"merges":[]}})",
                           R"({"model":{"type":"BPE","vocab":{"a":"0"},"merges":[]}})",
                           R"({"model":{"type":"BPE","vocab":{"a":[0]},"merges":[]}})",
                           R"({"model":{"type":"BPE","vocab":{"a":{}},"merges":[]}})",
                           R"({"model":{"type":"BPE","vocab":{"a":0.5},"merges":[]}})",
                           R"({"model":{"type":"BPE","vocab":{"a":null},"merges":[]}})",
                           R"({"model":{"type":"BPE","vocab":[["a",0.0]],"merges":[]}})",
                           R"({"model":{"type":"Unigram","vocab":{"a":0}}})",
                           R"({"model":{"type":"Unigram","vocab":[["a"]]}})",
                           R"({"model":{"type":"Unigram","vocab":[["a",0,0]]}})",
                           R"({"model":{"type":"Unigram","vocab":[[0,"a"]]}})",
                           R"({"model":{"type":"Unigram","vocab":["a"]}})",
                           R"({"model":{"type":"Unigram","vocab":[[["a",0]]]}})",
                           R"({"model":{"type":"Unigram","unk_id":7,"vocab":[["a",0]]}})"}) {
    EXPECT_THAT(refusal(file), AllOf(HasSubstr("corrupt"), HasSubstr("some/tokenizer.json")))
        << file;
  }
}

TEST(TokenizerFaults, UnknownPartsAreNamed) {
  EXPECT_THAT(refusal(with_model("type", "Magic")),
              HasSubstr("unsupported some/tokenizer.json.model: the model \"Magic\""));
  EXPECT_THAT(refusal(with_model("dropout", 0.1)), HasSubstr("\"dropout\""));
  EXPECT_EQ(refusal(with_model("dropout", nullptr)), "accepted");
  EXPECT_THAT(refusal(with_model("new_rule", true)),
              HasSubstr("unsupported some/tokenizer.json.model: the field \"new_rule\""));
  EXPECT_THAT(refusal(with_member("afterburner", json::object())), HasSubstr("\"afterburner\""));
  EXPECT_THAT(refusal(with_member("version", "2.0")), HasSubstr("\"version\" must be 1.0"));
  for (const char* part : {"normalizer", "pre_tokenizer", "post_processor", "decoder"}) {
    EXPECT_THAT(refusal(with_member(part, {{"type", "Zzz"}})),
                AllOf(HasSubstr("unsupported"), HasSubstr(part), HasSubstr("\"Zzz\"")));
    EXPECT_THAT(refusal(with_member(part, json::array())), HasSubstr("expected an object"));
  }
}

TEST(TokenizerFaults, IdsThatCannotBe) {
  EXPECT_THAT(refusal(with_model("vocab", {{"a", -1}, {"b", 1}, {"ab", 2}})),
              HasSubstr("the id -1 of \"a\""));
  EXPECT_THAT(refusal(with_model("vocab", {{"a", 16 * 1024 * 1024}, {"b", 1}, {"ab", 2}})),
              HasSubstr("is not in 0..16777215"));
  EXPECT_THAT(refusal(with_model("vocab", {{"a", 18446744073709551615u}, {"b", 1}, {"ab", 2}})),
              HasSubstr("is not in 0.."));
  EXPECT_THAT(refusal(with_model("vocab", {{"a", 1}, {"b", 1}, {"ab", 2}})),
              HasSubstr("two tokens have the id 1"));
  EXPECT_THAT(refusal(R"({"model":{"type":"BPE","vocab":{"a":0,"a":1},"merges":[]}})"),
              HasSubstr("\"a\" occurs twice"));
  EXPECT_THAT(refusal(R"({"model":{"type":"Unigram","vocab":[["a",0],["a",1]]}})"),
              HasSubstr("\"a\" occurs twice"));
  const auto added = [](TokenId id, const char* content) {
    return with_member("added_tokens",
                       json::array({{{"id", id}, {"content", content}, {"special", true}}}));
  };
  EXPECT_EQ(refusal(added(9, "<x>")), "accepted");
  EXPECT_THAT(refusal(added(1, "<x>")), HasSubstr("the id 1 of \"<x>\" is that of \"b\""));
  EXPECT_THAT(refusal(added(7, "ab")), HasSubstr("\"ab\" has the id 7, in model.vocab it has 2"));
  EXPECT_THAT(refusal(added(-4, "<x>")), HasSubstr("\"id\" must be an integer"));
  EXPECT_THAT(refusal(added(2'000'000'000, "<x>")), HasSubstr("\"id\" must be an integer"));
  EXPECT_THAT(refusal(with_member("added_tokens", json::array({{{"id", 5}, {"content", "x"}},
                                                               {{"id", 5}, {"content", "y"}}}))),
              HasSubstr("two tokens have the id 5"));
  EXPECT_THAT(refusal(with_member("added_tokens", json::array({{{"id", 5}, {"content", "x"}},
                                                               {{"id", 6}, {"content", "x"}}}))),
              HasSubstr("\"x\" has the id 6, before it had 5"));
  EXPECT_THAT(
      refusal(with_member("post_processor",
                          {{"type", "BertProcessing"}, {"cls", {"c", 77}}, {"sep", {"a", 0}}})),
      HasSubstr("no token has the id 77"));
}

TEST(TokenizerFaults, MergesThatCannotBe) {
  EXPECT_THAT(refusal(with_model("merges", {"a c"})), HasSubstr("entry 0 needs the token \"c\""));
  EXPECT_THAT(refusal(with_model("merges", {"b a"})), HasSubstr("needs the token \"ba\""));
  for (const json& bad :
       {json("ab"), json("a b c"), json::array({"a"}), json::array({"a", "b", "c"}), json(3),
        json::array({"a", 1}), json::object(), json::array({json::array({"a"}), "b"})}) {
    EXPECT_THAT(refusal(with_model("merges", json::array({bad}))), HasSubstr("model.merges: entry"))
        << bad;
  }
  EXPECT_THAT(refusal(with_model("merges", nullptr)), HasSubstr("model.merges: missing"));
  // A merge that gives its own left part again ends all the same: every merge takes a symbol away.
  const auto cyclic = Tokenizer::parse(
      R"({"model":{"type":"BPE","continuing_subword_prefix":"@",
          "vocab":{"a":0,"@":1,"@a":2,"aa":3},"merges":[["a","@"],["a","@a"],["aa","@"]]}})",
      "x");
  EXPECT_EQ(cyclic->encode("aaaa"), (Ids{3, 2, 2}));
  EXPECT_THROW(
      Tokenizer::parse(
          R"({"model":{"type":"BPE","continuing_subword_prefix":"@@@","vocab":{"a":0,"b":1},
                                    "merges":[["a","b"]]}})",
          "x"),
      Error);
}

TEST(TokenizerFaults, HolesAreReportedWhenDecoded) {
  const auto tokenizer =
      Tokenizer::parse(with_model("vocab", {{"a", 0}, {"b", 5'000'000}, {"ab", 16'000'000}}), "x");
  EXPECT_EQ(tokenizer->size(), 16'000'001);
  EXPECT_EQ(tokenizer->encode("ab"), (Ids{16'000'000}));
  EXPECT_EQ(tokenizer->piece(5'000'000), "b");
  try {
    tokenizer->decode(Ids{0, 17}, false);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    EXPECT_THAT(error.what(), HasSubstr("no token has the id 17"));
  }
  const auto stream = tokenizer->stream({}, false);
  EXPECT_THROW(stream->push(1), Error);
  EXPECT_EQ(stream->push(0), "a");
}

TEST(TokenizerFaults, LimitsOnTokensAndPatterns) {
  EXPECT_THAT(refusal(with_model("vocab", {{std::string(5000, 'x'), 0}})),
              HasSubstr("longer than the limit"));
  const json bomb = {
      {"type", "Split"}, {"pattern", {{"Regex", "(a+)+$"}}}, {"behavior", "Isolated"}};
  const auto tokenizer = Tokenizer::parse(with_member("pre_tokenizer", bomb), "x");
  try {
    tokenizer->encode(std::string(64, 'a') + "b");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kLimit);
    EXPECT_THAT(error.what(), HasSubstr("regular expression"));
  }
}

TEST(TokenizerFaults, UnknownCharactersWithoutAnUnknownToken) {
  // Without unk_token they vanish, as in the reference; with one that is missing encoding fails.
  EXPECT_EQ(Tokenizer::parse(small_bpe().dump(), "x")->encode("a?b"), (Ids{2}));
  const auto missing = Tokenizer::parse(with_model("unk_token", "<unk>"), "x");
  EXPECT_EQ(missing->encode("ab"), (Ids{2}));
  EXPECT_THROW(missing->encode("a?"), Error);
  const auto unigram = Tokenizer::parse(R"({"model":{"type":"Unigram","vocab":[["a",0]]}})", "x");
  EXPECT_EQ(unigram->encode("aa"), (Ids{0, 0}));
  EXPECT_THROW(unigram->encode("?"), Error);
  const auto words = Tokenizer::parse(R"({"model":{"type":"WordPiece","vocab":{"a":0}}})", "x");
  EXPECT_THROW(words->encode("b"), Error);
}

TEST(TokenizerFaults, FilesOnDisk) {
  const TempDir folder;
  try {
    Tokenizer::load(folder.path());
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kNotFound);
    EXPECT_THAT(error.what(), HasSubstr("tokenizer.json"));
  }
  std::ofstream(folder.path() / "tokenizer.json") << small_bpe().dump();
  EXPECT_EQ(Tokenizer::load(folder.path())->size(), 3);
}

}  // namespace
}  // namespace haq::test
