// SPDX-License-Identifier: GPL-3.0-or-later
// Every line of the reference vectors, exactly.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "engine/base/file.h"
#include "engine/text/unicode.h"
#include "tests/engine/text/tokenizer_data.h"
#include "tests/support/paths.h"

namespace haq::test {
namespace {

using text::TokenId;
using text::Tokenizer;
using Ids = std::vector<TokenId>;

class GoldenTokenizer : public testing::TestWithParam<std::string> {};

TEST_P(GoldenTokenizer, AgreesWithEveryLine) {
  const auto tokenizer = golden_tokenizer(GetParam());
  if (tokenizer == nullptr) GTEST_SKIP() << "no shared data";
  const auto lines = read_json_lines(golden_dir() / "tokenizers" / (GetParam() + ".jsonl"));
  ASSERT_GT(lines.size(), 100u);
  for (const auto& line : lines) {
    const auto source = line.at("text").get<std::string>();
    SCOPED_TRACE(line.at("text").dump());
    const Ids ids = line.at("ids").get<Ids>();
    EXPECT_EQ(tokenizer->encode(source), ids);
    EXPECT_EQ(tokenizer->encode(source, {.add_special = false, .parse_special = true}),
              line.at("ids_no_special").get<Ids>());
    EXPECT_EQ(tokenizer->decode(ids, false), line.at("decoded").get<std::string>());
    EXPECT_EQ(tokenizer->decode(ids, true), line.at("decoded_skip_special").get<std::string>());
  }
}

INSTANTIATE_TEST_SUITE_P(Small, GoldenTokenizer, testing::ValuesIn(small_tokenizer_names()),
                         [](const auto& name) { return name.param; });
INSTANTIATE_TEST_SUITE_P(Large, GoldenTokenizer, testing::ValuesIn(large_tokenizer_names()),
                         [](const auto& name) { return name.param; });

TEST(GoldenStream, AgreesWithEveryLine) {
  const auto lines = read_json_lines(golden_dir() / "tokenizers/stream.jsonl");
  ASSERT_GT(lines.size(), 100u);
  int checked = 0;
  for (const auto& line : lines) {
    const auto tokenizer = golden_tokenizer(line.at("tokenizer").get<std::string>());
    if (tokenizer == nullptr) continue;  // lies in the shared data
    ++checked;
    SCOPED_TRACE(line.dump());
    const Ids prompt = line.at("prompt_ids").get<Ids>();
    const Ids ids = line.at("ids").get<Ids>();
    const bool skip = line.at("skip_special_tokens").get<bool>();
    const auto stream = tokenizer->stream(prompt, skip);
    std::string shown = tokenizer->decode(prompt, skip);
    EXPECT_EQ(shown, line.at("prompt_decode").get<std::string>());
    for (std::size_t i = 0; i < ids.size(); ++i) {
      const std::string delta = stream->push(ids[i]);
      EXPECT_EQ(delta, line.at("deltas").at(i).get<std::string>()) << "token " << i;
      shown += delta;
    }
    const std::string rest = stream->flush();
    EXPECT_EQ(rest, line.at("flush").get<std::string>());
    shown += rest;
    EXPECT_EQ(shown == line.at("full_decode").get<std::string>(),
              line.at("matches_full_decode").get<bool>());
    Ids all = prompt;
    all.insert(all.end(), ids.begin(), ids.end());
    EXPECT_EQ(tokenizer->decode(all, skip), line.at("full_decode").get<std::string>());
  }
  EXPECT_GT(checked, 50);
}

// The first 80,000 characters of a text in one call, as tests/golden/perplexity.json counts them.
TEST(GoldenText, LongTextGivesTheSameIds) {
  HAQ_REQUIRE_SHARED();
  const auto recipe =
      nlohmann::json::parse(read_text_file(golden_dir() / "perplexity.json", std::size_t{1} << 20));
  std::string source = read_text_file(
      shared_dir() / "data/text" / recipe.at("text").get<std::string>(), std::size_t{16} << 20);
  std::size_t end = 0;
  for (int i = 0; i < 80'000; ++i) end += text::char_length(source[end]);
  source.resize(end);
  for (const auto& [name, expected] : recipe.at("models").items()) {
    SCOPED_TRACE(name);
    const auto tokenizer = Tokenizer::load(shared_dir() / "models" / name);
    Ids ids = tokenizer->encode(source, {.add_special = false, .parse_special = true});
    ASSERT_GE(ids.size(), 20'000u);
    ids.resize(20'000);
    const Ids first = expected.at("first_ids").get<Ids>();
    const Ids last = expected.at("last_ids").get<Ids>();
    EXPECT_EQ(Ids(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(first.size())), first);
    EXPECT_EQ(Ids(ids.end() - static_cast<std::ptrdiff_t>(last.size()), ids.end()), last);
    EXPECT_EQ(std::accumulate(ids.begin(), ids.end(), std::int64_t{0}),
              expected.at("id_sum").get<std::int64_t>());
  }
}

TEST(DemoTokenizer, TokenizesAStory) {
  const auto tokenizer = Tokenizer::load(source_dir() / "resources/models/demo-moe");
  EXPECT_EQ(tokenizer->size(), 4096);
  const std::string story = "<|im_start|>user\nTell me a story about a dog<|im_end|>\n";
  const Ids ids = tokenizer->encode(story);
  ASSERT_FALSE(ids.empty());
  EXPECT_EQ(ids.front(), 1);
  EXPECT_EQ(std::count(ids.begin(), ids.end(), 2), 1);
  EXPECT_EQ(tokenizer->decode(ids, false), story);
}

}  // namespace
}  // namespace haq::test
