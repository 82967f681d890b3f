// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/session/experts/prompt_set.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/paths.h"

namespace haq::session {
namespace {

using testing::HasSubstr;

std::string refusal_of(const std::string& lines) {
  try {
    parse_prompt_lines(lines, "p.jsonl");
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kCorrupt);
    return error.what();
  }
  ADD_FAILURE() << "no error for " << lines;
  return {};
}

TEST(PromptLines, TakeTextsAndMessages) {
  const auto prompts = parse_prompt_lines(
      "{\"prompt\": \"one\"}\n\n"
      "{\"messages\": [{\"role\": \"user\", \"content\": \"two\"}], \"set\": \"code\", \"id\": "
      "7}\r\n"
      "{\"prompt\": \"three\", \"set\": null}",
      "p.jsonl");
  ASSERT_EQ(prompts.size(), 3U);
  EXPECT_EQ(prompts[0].text, "one");
  EXPECT_EQ(prompts[0].where, "p.jsonl line 1");
  EXPECT_TRUE(prompts[0].messages.is_null());
  EXPECT_EQ(prompts[0].set, "");
  EXPECT_EQ(prompts[1].messages[0]["content"], "two");
  EXPECT_EQ(prompts[1].set, "code");
  EXPECT_EQ(prompts[1].where, "p.jsonl line 3");
  EXPECT_EQ(prompts[2].text, "three");
  EXPECT_EQ(prompts[2].where, "p.jsonl line 4");
}

TEST(PromptLines, SayWhatIsWrongAndWhere) {
  EXPECT_THAT(refusal_of(""), HasSubstr("there is no prompt in it"));
  EXPECT_THAT(refusal_of("\n \n"), HasSubstr("there is no prompt in it"));
  EXPECT_THAT(refusal_of("{\"prompt\": \"a\"}\n{\"prompt\": "), HasSubstr("p.jsonl line 2"));
  EXPECT_THAT(refusal_of("[1]"), HasSubstr("line 1: found array, expected an object"));
  EXPECT_THAT(refusal_of("{}"), HasSubstr("neither \"prompt\" and \"messages\""));
  EXPECT_THAT(refusal_of("{\"prompt\": \"a\", \"messages\": []}"), HasSubstr("both"));
  EXPECT_THAT(refusal_of("{\"prompt\": \"\"}"), HasSubstr("\"prompt\" is empty"));
  EXPECT_THAT(refusal_of("{\"prompt\": 3}"), HasSubstr("\"prompt\" is number"));
  EXPECT_THAT(refusal_of("{\"messages\": []}"), HasSubstr("\"messages\" is empty"));
  EXPECT_THAT(refusal_of("{\"messages\": [3]}"), HasSubstr("text \"role\""));
  EXPECT_THAT(refusal_of("{\"messages\": [{\"role\": 1}]}"), HasSubstr("text \"role\""));
  EXPECT_THAT(refusal_of("{\"prompt\": \"a\", \"set\": 1}"), HasSubstr("\"set\" is number"));
  EXPECT_THAT(refusal_of("{\"prompt\": \"a\", \"set\": \"" + std::string(201, 's') + "\"}"),
              HasSubstr("name of up to 200 bytes"));
  EXPECT_THAT(refusal_of("{\"prompt\": \"\xff\"}"), HasSubstr("line 1"));
}

class SplitText : public testing::Test {
 protected:
  std::vector<std::string> split(const std::string& text, int tokens) const {
    std::vector<std::string> parts;
    for (const PromptText& part : split_text(text, "t.txt", *tokenizer_, tokens)) {
      parts.push_back(part.text);
    }
    return parts;
  }
  std::size_t tokens_of(const std::string& text) const {
    text::Tokenizer::EncodeOptions plain;
    plain.add_special = false;
    return tokenizer_->encode(text, plain).size();
  }

  const std::shared_ptr<const text::Tokenizer> tokenizer_ =
      text::Tokenizer::load(test::source_dir() / "resources/models/demo-moe");
};

TEST_F(SplitText, JoinsParagraphsThatFit) {
  const std::string text = "The dog ran.\nIt was happy.\n\n  \nThe cat slept.\r\n\r\nThe end.\n";
  EXPECT_EQ(
      split(text, 1000),
      (std::vector<std::string>{"The dog ran.\nIt was happy.\n\nThe cat slept.\n\nThe end."}));
  const std::vector<std::string> apart = split(text, static_cast<int>(tokens_of("The cat slept.")));
  EXPECT_THAT(apart, testing::Contains("The cat slept."));
  EXPECT_EQ(split_text(text, "t.txt", *tokenizer_, 1000)[0].where, "t.txt part 1");
}

TEST_F(SplitText, CutsLongParagraphsAtBlanksAndLosesNothing) {
  std::string text;
  for (int i = 0; i < 300; ++i) text += "The little dog saw a big red bird in the tree. ";
  const std::vector<std::string> parts = split(text, 50);
  EXPECT_GT(parts.size(), 40U);
  std::string joined;
  for (const std::string& part : parts) {
    EXPECT_GT(tokens_of(part), 0U);
    EXPECT_LE(tokens_of(part), 65U) << part;
    joined += part + ' ';
  }
  EXPECT_EQ(joined, text);
}

TEST_F(SplitText, NeverCutsWithinACharacter) {
  std::string text;
  for (int i = 0; i < 400; ++i) text += "\u00e9\u4e2d";
  std::string joined;
  for (const std::string& part : split(text, 20)) {
    EXPECT_NE(static_cast<unsigned char>(part.front()) & 0xC0, 0x80);
    joined += part;
  }
  EXPECT_EQ(joined, text);
}

TEST_F(SplitText, RefusesAnEmptyText) {
  EXPECT_THROW(split("", 10), Error);
  EXPECT_THROW(split(" \n\n\t\n", 10), Error);
  EXPECT_THROW(split("text", 0), Error);
}

}  // namespace
}  // namespace haq::session
