// SPDX-License-Identifier: GPL-3.0-or-later
// Patterns are Oniguruma's; what differs from PCRE2 is checked here.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/base/error.h"
#include "engine/text/regex.h"
#include "engine/text/regex_syntax.h"
#include "engine/text/unicode.h"

namespace haq::text {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::string> matches(std::string_view pattern, std::string_view text) {
  const Regex regex = Regex::compile(pattern, "test");
  RegexScanner scanner(regex);
  scanner.start(text);
  std::vector<std::string> out;
  for (std::size_t begin = 0, end = 0; scanner.next(begin, end);) {
    out.emplace_back(text.substr(begin, end - begin));
  }
  return out;
}

ErrorCode refused(std::string_view pattern, std::string_view text = "") {
  try {
    matches(pattern, text);
  } catch (const Error& error) {
    return error.code();
  }
  return ErrorCode::kInternal;
}

TEST(RegexSyntax, ClassesFollowUnicode) {
  EXPECT_THAT(matches(R"(\s)", "a\u00A0b\u3000c\u180Ed"), ElementsAre("\u00A0", "\u3000"));
  EXPECT_THAT(matches(R"([^\s]+)", "a\u180Eb c"), ElementsAre("a\u180Eb", "c"));
  EXPECT_THAT(matches(R"([\Sx]+)", "a\u180Eb c"), ElementsAre("a\u180Eb", "c"));
  EXPECT_THAT(matches(R"(\w+)", "e\u0301a_1-\u00B2\u24B6"), ElementsAre("e\u0301a_1", "\u24B6"));
  EXPECT_THAT(matches(R"([\w-]+)", "a-b c"), ElementsAre("a-b", "c"));
  EXPECT_THAT(matches(R"([a-c\-\]]+)", "b-]x"), ElementsAre("b-]"));
  EXPECT_THAT(matches(R"(\h+)", "12ag"), ElementsAre("12a"));
  EXPECT_THAT(matches(R"([\H]+)", "12ag x"), ElementsAre("g x"));
  EXPECT_THAT(matches(R"(\bcat\b)", "cat concat cat\u0301 cat"), ElementsAre("cat", "cat"));
  EXPECT_THAT(matches(R"(\v)", "\v\n\u2028"), ElementsAre("\v"));
}

TEST(RegexSyntax, PropertiesAndScripts) {
  EXPECT_THAT(matches(R"(\p{Han}+)", "漢字かな。"), ElementsAre("漢字"));
  EXPECT_THAT(matches(R"(\p{^L}+)", "ab12"), ElementsAre("12"));
  EXPECT_THAT(matches(R"([\p{Lu}\p{N}]+)", "aB1c"), ElementsAre("B1"));
  EXPECT_THAT(matches(R"(\p{Alpha}+)", "a1b"), ElementsAre("a", "b"));
  EXPECT_THAT(matches(R"([[:digit:]]+)", "a12"), ElementsAre("12"));
  // Script, not script extensions: the prolonged sound mark is Common.
  EXPECT_THAT(matches(R"(\p{Katakana}+)", "テーブ"), ElementsAre("テ", "ブ"));
}

TEST(RegexSyntax, NestedClassesAndIntersections) {
  EXPECT_THAT(matches(R"([a[0-9]]+)", "a1b"), ElementsAre("a1"));
  EXPECT_THAT(matches(R"([\p{L}&&[^\p{Han}]]+)", "ab漢c"), ElementsAre("ab", "c"));
  EXPECT_THAT(matches(R"([^\p{L}&&[^\p{Han}]]+)", "ab漢c1"), ElementsAre("漢", "1"));
  EXPECT_THAT(matches(R"([]a]+)", "]a["), ElementsAre("]a"));
}

TEST(RegexSyntax, AnchorsAndOptions) {
  EXPECT_THAT(matches(R"(\s+$)", "a \nb "), ElementsAre(" ", " "));
  EXPECT_THAT(matches("^.", "a\nb"), ElementsAre("a", "b"));
  EXPECT_THAT(matches("(?m:a.b)", "a\nb"), ElementsAre("a\nb"));
  EXPECT_THAT(matches("a.b", "a\nb"), IsEmpty());
  EXPECT_THAT(matches("(?i:'S|'LL)", "it's I'll"), ElementsAre("'s", "'ll"));
  EXPECT_THAT(matches("a{,2}b", "aaab"), ElementsAre("aab"));
  EXPECT_THAT(matches("a{x}", "a{x}"), ElementsAre("a{x}"));
  EXPECT_THAT(matches(R"(\u00e9\x{61}\x62)", "éab"), ElementsAre("éab"));
  EXPECT_THAT(matches("x*", "axb"), ElementsAre("", "x", ""));
}

TEST(RegexSyntax, RefusesWhatItCannotTranslate) {
  for (const char* pattern :
       {"(?~a)", "a{1,2}+", R"(\y)", "(*FAIL)", "[a", "(", "a\\", "[[:alpha:", R"(\p{Nope})",
        R"(\p{L)", "[]", R"(\C)", "(?{x})", "*a", "[&&a]", R"(\u12)"}) {
    EXPECT_EQ(refused(pattern), ErrorCode::kUnsupported) << pattern;
  }
  EXPECT_EQ(refused(std::string(200, '(') + std::string(200, ')')), ErrorCode::kUnsupported);
  EXPECT_EQ(refused("(((a{1000}){1000}){1000})"), ErrorCode::kUnsupported);
  EXPECT_EQ(refused(std::string(40'000, 'a')), ErrorCode::kLimit);
  EXPECT_EQ(refused(std::string(40, '[') + "a" + std::string(40, ']')), ErrorCode::kUnsupported);
}

TEST(RegexScanner, StopsCatastrophicPatterns) {
  EXPECT_EQ(refused("(a+)+$", std::string(60, 'a') + "b"), ErrorCode::kLimit);
  EXPECT_EQ(refused("(.*)*x(?=y)", std::string(5000, 'x')), ErrorCode::kLimit);
}

TEST(RegexScanner, WalksOverLongTexts) {
  std::string text(10'000, ' ');
  for (std::size_t i = 0; i < text.size(); i += 3000) text.replace(i, 2, "é");
  EXPECT_THAT(matches("é", text), ElementsAre("é", "é", "é", "é"));
  EXPECT_EQ(matches(R"(\s+(?!\S)|\s+)", std::string(20'000, ' ') + "x").size(), 2u);
}

TEST(Unicode, LossyDecodingFollowsTheStandard) {
  const auto decode = [](std::string_view bytes) {
    LossyUtf8 decoder;
    std::string out;
    for (const char c : bytes) decoder.push({&c, 1}, out);
    decoder.finish(out);
    LossyUtf8 whole;
    std::string at_once;
    whole.push(bytes, at_once);
    whole.finish(at_once);
    EXPECT_EQ(out, at_once);
    return out;
  };
  EXPECT_EQ(decode("\xF0\x9F\x98\x80"), "😀");
  EXPECT_EQ(decode("\xF0\x9F\x98"), "\uFFFD");
  EXPECT_EQ(decode("\xF0\x9F\x98x\x80"), "\uFFFDx\uFFFD");
  EXPECT_EQ(decode("\xC0\xAF\xE0\x80\x80\xED\xA0\x80"),
            "\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD");
  EXPECT_EQ(decode("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41"), "\uFFFD\uFFFD\uFFFD\uFFFDA");
}

TEST(Unicode, ValidatesUtf8) {
  for (const char* good : {"", "abc", "é漢😀", "\xF4\x8F\xBF\xBF"}) EXPECT_TRUE(is_valid_utf8(good));
  for (const char* bad : {"\x80", "\xC3", "\xC0\x80", "\xE0\x9F\xBF", "\xED\xA0\x80",
                          "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "a\xFF"}) {
    EXPECT_FALSE(is_valid_utf8(bad));
  }
  EXPECT_TRUE(is_valid_utf8(std::string_view("\0a", 2)));
}

}  // namespace
}  // namespace haq::text
