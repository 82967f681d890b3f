// SPDX-License-Identifier: GPL-3.0-or-later
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <tuple>

#include "engine/base/error.h"
#include "engine/base/hash.h"
#include "engine/session/session.h"
#include "tests/engine/session/session_models.h"
#include "tests/support/golden.h"
#include "tests/support/tensor_file.h"

namespace haq::session {
namespace {

using test::demo_model;

GenerateOptions greedy(int max_tokens) {
  GenerateOptions options;
  options.max_tokens = max_tokens;
  options.digest = true;
  return options;
}

std::vector<std::int32_t> story_prompt() {
  return demo_model()->tokenizer().encode("Once upon a time, there was a little dog named");
}

TEST(Generate, EqualsArgmaxOverAFreshForwardPass) {
  const auto model = demo_model();
  const std::vector<std::int32_t> prompt = story_prompt();
  Context context(model);
  const GenerateResult result = context.generate(prompt, greedy(12));
  std::vector<std::int32_t> all = prompt;
  Hash128 digest;
  for (const std::int32_t id : result.ids) {
    // Everything again from an empty cache: no reuse, no decode path.
    const auto sequence = model->decoder().new_sequence();
    nn::Segment segment;
    segment.sequence = sequence.get();
    segment.ids = all;
    const std::span<const float> row = model->decoder().forward(std::span(&segment, 1));
    digest.update(std::as_bytes(row));
    EXPECT_EQ(std::max_element(row.begin(), row.end()) - row.begin(), id);
    all.push_back(id);
  }
  EXPECT_EQ(result.digest, digest.hex());
  EXPECT_EQ(result.generated_tokens, 12);
  EXPECT_EQ(result.finish, FinishReason::kLength);
  EXPECT_EQ(result.prompt_tokens, static_cast<std::int64_t>(prompt.size()));
}

TEST(Generate, StreamedTextIsTheDecodedText) {
  const auto model = demo_model();
  const std::vector<std::int32_t> prompt = story_prompt();
  Context context(model);
  std::string streamed;
  const GenerateResult result =
      context.generate(prompt, greedy(40), [&](const GeneratedToken& token) {
        streamed += token.text;
        return true;
      });
  EXPECT_EQ(streamed, result.text);
  std::vector<std::int32_t> all = prompt;
  all.insert(all.end(), result.ids.begin(), result.ids.end());
  EXPECT_EQ(model->tokenizer().decode(prompt, true) + result.text,
            model->tokenizer().decode(all, true));
}

TEST(Generate, PrefixReuseGivesTheSameIdsAndDigest) {
  const auto model = demo_model();
  const std::vector<std::int32_t> prompt = story_prompt();
  Context context(model);
  const GenerateResult first = context.generate(prompt, greedy(20));
  EXPECT_EQ(first.reused_tokens, 0);

  // A second turn: what was said and something new.
  std::vector<std::int32_t> longer = prompt;
  longer.insert(longer.end(), first.ids.begin(), first.ids.end());
  const std::vector<std::int32_t> more =
      model->tokenizer().encode(" The end. Once there was a cat");
  longer.insert(longer.end(), more.begin(), more.end());
  const GenerateResult second = context.generate(longer, greedy(20));
  // The last generated id was never computed, so it belongs to the new part.
  EXPECT_EQ(second.reused_tokens, static_cast<std::int64_t>(prompt.size() + first.ids.size()) - 1);

  Context fresh(model);
  const GenerateResult scratch = fresh.generate(longer, greedy(20));
  EXPECT_EQ(scratch.reused_tokens, 0);
  EXPECT_EQ(second.ids, scratch.ids);
  EXPECT_EQ(second.digest, scratch.digest);
}

TEST(Generate, RepeatingAPromptComputesOnlyItsLastToken) {
  Context context(demo_model());
  const std::vector<std::int32_t> prompt = story_prompt();
  const GenerateResult first = context.generate(prompt, greedy(5));
  const GenerateResult again = context.generate(prompt, greedy(5));
  EXPECT_EQ(again.reused_tokens, static_cast<std::int64_t>(prompt.size()) - 1);
  EXPECT_EQ(again.ids, first.ids);
  EXPECT_EQ(again.digest, first.digest);
  context.clear();
  EXPECT_EQ(context.cached_tokens(), 0);
  EXPECT_EQ(context.generate(prompt, greedy(5)).reused_tokens, 0);
}

TEST(Generate, AnEditedPromptReusesTheCommonPartOnly) {
  Context context(demo_model());
  std::vector<std::int32_t> prompt = story_prompt();
  context.generate(prompt, greedy(5));
  prompt[4] = (prompt[4] + 1) % 4096;
  const GenerateResult edited = context.generate(prompt, greedy(5));
  EXPECT_EQ(edited.reused_tokens, 4);
  Context fresh(demo_model());
  EXPECT_EQ(fresh.generate(prompt, greedy(5)).digest, edited.digest);
}

TEST(Generate, ChunkSizeDoesNotChangeGreedyIdsInFp32) {
  const std::vector<std::int32_t> prompt = demo_model()->tokenizer().encode(
      "One day, a girl named Lily found a needle in her room. She knew it was difficult to play");
  Context whole(demo_model());
  const GenerateResult expected = whole.generate(prompt, greedy(16));
  for (const int chunk : {1, 7}) {
    Context context(test::load_fp32(test::demo_folder(), chunk));
    const GenerateResult found = context.generate(prompt, greedy(16));
    EXPECT_EQ(found.ids, expected.ids) << "chunk " << chunk;
    EXPECT_EQ(found.digest, expected.digest) << "chunk " << chunk;
  }
}

TEST(Generate, SeedDecidesASampledAnswer) {
  GenerateOptions options = greedy(24);
  options.sampling.temperature = 1.2F;
  options.sampling.seed = 5;
  Context context(demo_model());
  const GenerateResult one = context.generate(story_prompt(), options);
  EXPECT_EQ(context.generate(story_prompt(), options).ids, one.ids);
  options.sampling.seed = 6;
  EXPECT_NE(context.generate(story_prompt(), options).ids, one.ids);
}

TEST(Generate, StopStringOverSeveralTokensEndsTheTextBeforeIt) {
  Context context(demo_model());
  const std::vector<std::int32_t> prompt = story_prompt();
  const GenerateResult free = context.generate(prompt, greedy(40));
  // A stop string that begins in the middle of one word and ends in the middle of another one.
  const std::size_t space = free.text.find(' ', free.text.size() / 2);
  ASSERT_NE(space, std::string::npos);
  ASSERT_GT(free.text.size(), space + 3);
  const std::string stop = free.text.substr(space - 2, 5);
  GenerateOptions options = greedy(40);
  options.stop = {"never to be seen", stop};
  std::string streamed;
  const GenerateResult stopped =
      context.generate(prompt, options, [&](const GeneratedToken& token) {
        streamed += token.text;
        return true;
      });
  EXPECT_EQ(stopped.finish, FinishReason::kStop);
  EXPECT_EQ(stopped.text, free.text.substr(0, free.text.find(stop)));
  EXPECT_EQ(streamed, stopped.text);
  EXPECT_LT(stopped.ids.size(), free.ids.size());
}

TEST(Generate, HeldBackTextArrivesAtTheEnd) {
  Context context(demo_model());
  const GenerateResult free = context.generate(story_prompt(), greedy(10));
  GenerateOptions options = greedy(10);
  // The end of the text could be the start of this, but never becomes it.
  options.stop = {free.text.substr(free.text.size() - 2) + "\x01\x02"};
  std::string streamed;
  std::vector<std::int32_t> ids;
  const GenerateResult found =
      context.generate(story_prompt(), options, [&](const GeneratedToken& token) {
        streamed += token.text;
        ids.push_back(token.id);
        return true;
      });
  EXPECT_EQ(found.text, free.text);
  EXPECT_EQ(streamed, free.text);
  EXPECT_EQ(ids.back(), -1);
}

TEST(Generate, EndsAtTheStopIdOfAnAnswer) {
  const auto model = demo_model();
  const auto messages = nlohmann::ordered_json::parse(
      R"([{"role": "user", "content": "What is the capital of France?"}])");
  Context context(model);
  const GenerateResult result = context.generate(model->chat_prompt(messages), greedy(200));
  EXPECT_EQ(result.finish, FinishReason::kEos);
  EXPECT_EQ(result.generated_tokens, static_cast<std::int64_t>(result.ids.size()));
  for (const std::int32_t id : result.ids) EXPECT_FALSE(model->tokenizer().is_special(id));

  // The digest holds one row more than the answer: the stop id's.
  GenerateOptions shorter = greedy(static_cast<int>(result.ids.size()));
  const GenerateResult cut = context.generate(model->chat_prompt(messages), shorter);
  EXPECT_EQ(cut.ids, result.ids);
  EXPECT_EQ(cut.finish, FinishReason::kLength);
  EXPECT_NE(cut.digest, result.digest);

  GenerateOptions on = greedy(static_cast<int>(result.ids.size()) + 3);
  on.ignore_eos = true;
  EXPECT_EQ(context.generate(model->chat_prompt(messages), on).ids.size(), result.ids.size() + 3);
}

TEST(Generate, StopsWhenTheContextIsFull) {
  const auto model = demo_model();
  const std::vector<std::int32_t> unit = story_prompt();
  std::vector<std::int32_t> prompt;
  while (static_cast<std::int64_t>(prompt.size()) < model->max_context() - 3) {
    prompt.push_back(unit[prompt.size() % unit.size()]);
  }
  GenerateOptions options = greedy(100);
  options.ignore_eos = true;
  Context context(model);
  const GenerateResult result = context.generate(prompt, options);
  EXPECT_EQ(result.finish, FinishReason::kContext);
  EXPECT_EQ(result.ids.size(), 4U);  // three fit, the fourth is drawn from the last row
  EXPECT_EQ(context.cached_tokens(), model->max_context());

  prompt.resize(static_cast<std::size_t>(model->max_context()) + 1, unit[0]);
  try {
    context.generate(prompt, options);
    FAIL() << "a prompt longer than the context was accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kLimit);
    EXPECT_THAT(error.what(), testing::HasSubstr("1025"));
    EXPECT_THAT(error.what(), testing::HasSubstr("1024"));
  }
}

TEST(Generate, ACallbackOrATokenStopsAtAnyToken) {
  Context context(demo_model());
  const GenerateResult free = context.generate(story_prompt(), greedy(20));
  const GenerateResult by_callback = context.generate(
      story_prompt(), greedy(20), [](const GeneratedToken& token) { return token.index < 4; });
  EXPECT_EQ(by_callback.finish, FinishReason::kCancelled);
  EXPECT_THAT(by_callback.ids, testing::ElementsAreArray(free.ids.begin(), free.ids.begin() + 5));

  CancelToken cancel;
  const GenerateResult by_token = context.generate(
      story_prompt(), greedy(20),
      [&](const GeneratedToken& token) {
        if (token.index == 6) cancel.cancel();
        return true;
      },
      cancel);
  EXPECT_EQ(by_token.finish, FinishReason::kCancelled);
  EXPECT_EQ(by_token.ids.size(), 7U);
  // The cache is as good as before.
  EXPECT_EQ(context.generate(story_prompt(), greedy(20)).digest, free.digest);
}

TEST(Generate, CancellingWhileThePromptIsReadLeavesAUsableCache) {
  const auto model = test::load_fp32(test::demo_folder(), 8);
  std::vector<std::int32_t> prompt;
  for (int i = 0; i < 64; ++i) prompt.push_back(300 + i);
  Context context(model);
  CancelToken cancel;
  const GenerateResult stopped =
      context.generate(prompt, greedy(5), {}, cancel, [&](const Progress& progress) {
        if (progress.done >= 24) cancel.cancel();
      });
  EXPECT_EQ(stopped.finish, FinishReason::kCancelled);
  EXPECT_TRUE(stopped.ids.empty());
  EXPECT_EQ(context.cached_tokens(), 24);
  const GenerateResult resumed = context.generate(prompt, greedy(5));
  EXPECT_EQ(resumed.reused_tokens, 24);
  Context fresh(model);
  EXPECT_EQ(fresh.generate(prompt, greedy(5)).digest, resumed.digest);
}

TEST(Generate, RefusesBadInput) {
  Context context(demo_model());
  const auto code_of = [&](const std::vector<std::int32_t>& prompt,
                           const GenerateOptions& options) {
    try {
      context.generate(prompt, options);
    } catch (const Error& error) {
      return error.code();
    }
    return ErrorCode::kInternal;
  };
  EXPECT_EQ(code_of({}, greedy(1)), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code_of({1, 4096}, greedy(1)), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code_of({-1}, greedy(1)), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code_of({1}, greedy(0)), ErrorCode::kInvalidArgument);
  GenerateOptions options = greedy(1);
  options.stop = {""};
  EXPECT_EQ(code_of({1}, options), ErrorCode::kInvalidArgument);
}

/// A golden model with a head so large that it pays to search it.
std::shared_ptr<Model> model_with_large_head(const std::filesystem::path& folder) {
  constexpr std::int64_t kVocab = 70000;
  test::TensorFile tensors = test::read_tensor_folder(test::golden_model_dir("mixtral"));
  std::mt19937 generator(11);
  std::normal_distribution<float> normal(0, 0.2F);
  for (const char* name : {"model.embed_tokens.weight", "lm_head.weight"}) {
    test::TestTensor& tensor = tensors.at(name);
    std::vector<float> values(static_cast<std::size_t>(kVocab * tensor.shape[1]));
    for (float& value : values) value = normal(generator);
    tensor = test::make_f32({kVocab, tensor.shape[1]}, values);
  }
  test::write_tensor_file(folder / "model.safetensors", tensors);
  nlohmann::json config =
      nlohmann::json::parse(std::ifstream(test::golden_model_dir("mixtral") / "config.json"));
  config["vocab_size"] = kVocab;
  std::ofstream(folder / "config.json") << config;
  return test::load_fp32(folder);
}

TEST(Generate, SearchingTheHeadChangesNoAnswer) {
  const test::TempDir folder;
  const auto model = model_with_large_head(folder.path());
  const std::vector<std::int32_t> prompt = {1, 2, 3};
  const auto ids = [&](const SamplingOptions& sampling, bool digest, int tokens, int expected) {
    GenerateOptions options;
    options.sampling = sampling;
    options.max_tokens = tokens;
    options.ignore_eos = true;
    options.digest = digest;
    const std::int64_t before = model->decoder().stats().searched_rows;
    const GenerateResult result = Context(model).generate(prompt, options);
    EXPECT_EQ(model->decoder().stats().searched_rows - before, expected);
    return result.ids;
  };
  for (const auto& [temperature, top_k, top_p, min_p] :
       {std::tuple{0.0F, 0, 1.0F, 0.0F}, std::tuple{0.8F, 40, 1.0F, 0.0F},
        std::tuple{1.5F, 50, 0.9F, 0.0F}, std::tuple{3.0F, 256, 1.0F, 0.01F},
        std::tuple{1.0F, 1, 0.5F, 0.0F}}) {
    SamplingOptions sampling;
    sampling.temperature = temperature;
    sampling.top_k = top_k;
    sampling.top_p = top_p;
    sampling.min_p = min_p;
    sampling.seed = 5;
    SCOPED_TRACE(testing::Message() << "temperature " << temperature << ", top-k " << top_k);
    EXPECT_EQ(ids(sampling, false, 40, 39), ids(sampling, true, 40, 0));
  }
  // Where every logit counts, or the answer is too short to repay it, nothing is searched.
  SamplingOptions sampling;
  ids(sampling, false, 8, 0);
  sampling.repetition_penalty = 1.1F;
  ids(sampling, false, 40, 0);
  sampling = {};
  sampling.temperature = 1;
  ids(sampling, false, 40, 0);
}

TEST(Generate, AModelWithoutATokenizerRunsOnIds) {
  const auto model = test::load_fp32(test::golden_dir() / "models/mixtral");
  EXPECT_FALSE(model->has_tokenizer());
  Context context(model);
  const GenerateResult result = context.generate(std::vector<std::int32_t>{1, 2, 3}, greedy(4));
  EXPECT_EQ(result.ids.size(), 4U);
  EXPECT_EQ(result.text, "");
  GenerateOptions options = greedy(4);
  options.stop = {"x"};
  EXPECT_THROW(context.generate(std::vector<std::int32_t>{1}, options), Error);
}

}  // namespace
}  // namespace haq::session
