// SPDX-License-Identifier: GPL-3.0-or-later
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "engine/base/error.h"
#include "engine/text/decoder.h"

namespace haq::text {
namespace {

using nlohmann::json;

/// Decodes at once and as a stream; both must agree.
std::string decode(const char* rule, const std::vector<std::string>& tokens) {
  const json rules = json::parse(rule);
  const Fields fields(rules, "test");
  const Decoder decoder = Decoder::parse(&fields);
  std::string out[2];
  for (const bool streaming : {false, true}) {
    const auto run = decoder.start(streaming);
    for (const std::string& token : tokens) out[streaming] += run->push(token);
    out[streaming] += run->finish();
  }
  EXPECT_EQ(out[0], out[1]) << rule;
  return out[0];
}

TEST(Decoders, OneByOne) {
  EXPECT_EQ(decode(R"({"type":"ByteLevel"})", {"ĠHello", "ĠÃ", "©", " x"}), " Hello é x");
  EXPECT_EQ(decode(R"({"type":"Metaspace","replacement":"▁"})", {"▁a▁b", "▁c"}), "ab c");
  EXPECT_EQ(
      decode(R"({"type":"Metaspace","replacement":"▁","prepend_scheme":"never"})", {"▁a", "▁c"}),
      " a c");
  EXPECT_EQ(decode(R"({"type":"WordPiece"})", {"do", "##n", "'", "t", "stop", "!"}),
            "don ' t stop!");
  EXPECT_EQ(decode(R"({"type":"WordPiece","prefix":"@","cleanup":false})", {"a", "@b", "."}),
            "ab .");
  EXPECT_EQ(decode(R"({"type":"BPEDecoder","suffix":"</w>"})", {"a</w>", "b", "c</w>", "d</w>"}),
            "a bc d");
  EXPECT_EQ(decode(R"({"type":"BPEDecoder"})", {"a</w>b</w>", "c</w>x</w>"}), "a b cx");
  EXPECT_EQ(decode(R"({"type":"CTC"})", {"<pad>", "a", "a", "<pad>", "a", "|", "b"}), "aa b");
  EXPECT_EQ(decode(R"({"type":"Replace","pattern":{"Regex":"b+"},"content":"x"})", {"abb", "b"}),
            "axx");
  EXPECT_EQ(decode(R"({"type":"Strip","content":" ","start":1,"stop":1})", {"  a  ", " "}), " a ");
  EXPECT_EQ(decode(R"({"type":"ByteFallback"})", {"<0xC3>", "<0xA9>", "x", "<0x0a>"}), "éx\n");
}

TEST(Decoders, WithoutOneTokensAreJoinedWithBlanks) {
  const auto run = Decoder::parse(nullptr).start(true);
  EXPECT_EQ(run->push("a"), "a");
  EXPECT_EQ(run->push("b"), " b");
  EXPECT_EQ(run->finish(), "");
}

TEST(Decoders, BytesThatAreNotUtf8) {
  const json rules = json::parse(R"({"type":"ByteFallback"})");
  const Fields fields(rules, "test");
  const Decoder decoder = Decoder::parse(&fields);
  // As a whole every byte of the run is lost, in a stream only the invalid part.
  const auto whole = decoder.start(false);
  std::string text;
  for (const char* token : {"<0xC3>", "<0xA9>", "<0xF0>", "x"}) text += whole->push(token);
  EXPECT_EQ(text, "\uFFFD\uFFFD\uFFFDx");
  const auto stream = decoder.start(true);
  EXPECT_EQ(stream->push("<0xC3>"), "");
  EXPECT_EQ(stream->push("<0xA9>"), "é");
  EXPECT_EQ(stream->push("<0xF0>"), "");
  EXPECT_EQ(stream->push("x"), "\uFFFDx");
}

TEST(Decoders, StepsBehindAJoin) {
  constexpr const char* kStrip = R"({"type":"Sequence","decoders":[{"type":"Fuse"},
      {"type":"Strip","content":" ","start":2,"stop":1}]})";
  EXPECT_EQ(decode(kStrip, {" ", "  a ", " ", " "}), " a  ");
  EXPECT_EQ(decode(kStrip, {"a", " ", "b"}), "a b");
  constexpr const char* kReplace = R"({"type":"Sequence","decoders":[{"type":"Fuse"},
      {"type":"Replace","pattern":{"String":"aab"},"content":"-"}]})";
  EXPECT_EQ(decode(kReplace, {"a", "a", "ab", "aa", "c", "a"}), "a-aaca");
  // A regular expression has to see the whole text: the stream holds it back to the end.
  constexpr const char* kRegex = R"({"type":"Sequence","decoders":[{"type":"Fuse"},
      {"type":"Replace","pattern":{"Regex":"a+$"},"content":"!"}]})";
  EXPECT_EQ(decode(kRegex, {"ba", "a"}), "b!");
  constexpr const char* kBytes = R"({"type":"Sequence","decoders":[{"type":"ByteLevel"},
      {"type":"Strip","content":" ","start":1,"stop":0}]})";
  EXPECT_EQ(decode(kBytes, {"Ġ", "ĠÃ", "©"}), " é");
}

TEST(Decoders, StreamsAsEarlyAsPossible) {
  const json rules = json::parse(R"({"type":"BPEDecoder","suffix":"</w>"})");
  const Fields fields(rules, "test");
  const auto run = Decoder::parse(&fields).start(true);
  EXPECT_EQ(run->push("a</w>"), "a");
  EXPECT_EQ(run->push("b</w>"), " b");
  EXPECT_EQ(run->finish(), "");
}

TEST(Decoders, RefusesUnknownOnes) {
  for (const char* rule : {R"({"type":"Sing"})", R"({"type":"Fuse","hard":1})", R"({})",
                           R"({"type":7})", R"({"type":"BPEDecoder","suffix":""})",
                           R"({"type":"Strip","content":" ","start":-1,"stop":0})"}) {
    EXPECT_THROW(decode(rule, {}), Error) << rule;
  }
}

}  // namespace
}  // namespace haq::text
