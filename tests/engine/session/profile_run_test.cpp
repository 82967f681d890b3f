// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/session/experts/profile_run.h"

#include <gtest/gtest.h>

#include "engine/profile/recordings/recordings.h"
#include "engine/profile/store/store_file.h"
#include "tests/engine/session/session_models.h"
#include "tests/support/paths.h"

namespace haq::session {
namespace {

nn::RoutedStep step_of(int layer, int top_k, const std::vector<std::int32_t>& ids) {
  nn::RoutedStep step;
  step.layer = layer;
  step.top_k = top_k;
  step.tokens = static_cast<std::int64_t>(ids.size()) / top_k;
  step.ids = ids;
  return step;
}

TEST(ExpertCoverage, GrowsWithTheTokens) {
  ExpertCoverage coverage(2, 4);
  EXPECT_EQ(coverage.share(), 0);
  // Layers 1 and 3 route; a pass of two tokens, then one of one.
  coverage.add(step_of(1, 2, {0, 1, 1, 2}));
  coverage.add(step_of(3, 2, {3, 2, 3, 2}));
  EXPECT_EQ(coverage.tokens(), 2);
  EXPECT_DOUBLE_EQ(coverage.share_after(1), 4 / 8.0);
  EXPECT_DOUBLE_EQ(coverage.share(), 5 / 8.0);
  coverage.add(step_of(1, 2, {3, 0}));
  coverage.add(step_of(3, 2, {2, 1}));
  EXPECT_EQ(coverage.tokens(), 3);
  EXPECT_DOUBLE_EQ(coverage.share(), 7 / 8.0);
  EXPECT_DOUBLE_EQ(coverage.share_after(2), 5 / 8.0);
}

class ProfilePrompts : public testing::Test {
 protected:
  ProfilePrompts() {
    std::vector<PromptText> texts(2);
    texts[0].text = "Once upon a time";
    texts[1].text = "The little dog";
    prompts_ = encode_prompts(*model_, texts, false);
    options_.generate.max_tokens = 5;
    options_.generate.ignore_eos = true;
    experts_.record = "r";
    experts_.device = "cpu";
    experts_.database = folder_.path() / "haq.db";
    experts_.recording_required = true;
  }

  std::unique_ptr<ExpertSession> attach() {
    std::vector<std::string> notices;
    return ExpertSession::attach(model_, experts_, notices);
  }
  experts::Trace recorded() const {
    auto store = profile::StoreFile::open(experts_.database, profile::Database::Access::kReadOnly);
    return profile::Recordings(store.database).read("r");
  }

  test::TempDir folder_;
  const std::shared_ptr<Model> model_ = test::demo_model();
  std::vector<EncodedPrompt> prompts_;
  ProfileOptions options_;
  ExpertOptions experts_;
};

TEST_F(ProfilePrompts, RecordsEveryTokenOfEveryRepeat) {
  options_.repeat = 2;
  const auto session = attach();
  const ProfileResult result = profile_prompts(model_, *session, prompts_, options_);
  EXPECT_EQ(result.prompts, 4);
  EXPECT_EQ(result.generated_tokens, 20);
  const auto prompt_tokens =
      static_cast<std::int64_t>(2 * (prompts_[0].ids.size() + prompts_[1].ids.size()));
  EXPECT_EQ(result.prompt_tokens, prompt_tokens);
  EXPECT_FALSE(result.cancelled);
  EXPECT_GT(result.coverage, 0);
  EXPECT_LE(result.coverage, 1);
  EXPECT_LE(result.coverage_first_half, result.coverage);
  const profile::Recorder::Summary summary = session->finish().value();
  // An answer's last token is drawn and not run.
  EXPECT_EQ(summary.tokens, prompt_tokens + 4 * 4);
  EXPECT_EQ(summary.decode_tokens, 4 * 4);
  EXPECT_EQ(summary.prompts, 4);
  const experts::Trace trace = recorded();
  EXPECT_EQ(trace.tokens(), summary.tokens);
  EXPECT_EQ(trace.shape, session->runtime().shape());
  EXPECT_EQ(trace.batches.back().prompt, 3);
  // What was seen live is what was recorded.
  std::int64_t used = 0;
  for (const std::int64_t uses : count_uses(trace, 0, trace.tokens())) used += uses > 0 ? 1 : 0;
  EXPECT_DOUBLE_EQ(result.coverage, static_cast<double>(used) / trace.shape.total());
}

TEST_F(ProfilePrompts, StopsBetweenTokensAndKeepsWhatThereIs) {
  options_.repeat = 1000;
  const CancelToken cancel;
  std::uint64_t reports = 0;
  const auto session = attach();
  const ProfileResult result = profile_prompts(
      model_, *session, prompts_, options_,
      [&](const Progress& progress) {
        EXPECT_EQ(progress.total, 2000U);
        if (++reports == 30) cancel.cancel();
      },
      cancel);
  EXPECT_TRUE(result.cancelled);
  EXPECT_LT(result.prompts, 2000);
  const profile::Recorder::Summary summary = session->finish().value();
  EXPECT_GT(summary.tokens, 0);
  EXPECT_EQ(summary.dropped_tokens, 0);
  EXPECT_EQ(recorded().tokens(), summary.tokens);
}

TEST_F(ProfilePrompts, StopsWhenTheRecordingHasFailed) {
  options_.repeat = 100'000;
  const auto session = attach();
  // Another program that holds the file; the recorder waits two seconds for it.
  profile::Database other =
      profile::Database::open(experts_.database, profile::Database::Access::kReadWrite);
  other.exec("BEGIN IMMEDIATE");
  const ProfileResult result = profile_prompts(model_, *session, prompts_, options_);
  other.exec("ROLLBACK");
  EXPECT_LT(result.prompts, 200'000);
  EXPECT_FALSE(result.cancelled);
  EXPECT_FALSE(session->finish().value().failure.empty());
}

TEST_F(ProfilePrompts, RefusesAPromptBeyondTheContext) {
  std::vector<PromptText> texts(1);
  texts[0].where = "p.jsonl line 9";
  for (int i = 0; i < 3000; ++i) texts[0].text += "dog ";
  try {
    encode_prompts(*model_, texts, false);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kLimit);
    EXPECT_NE(std::string(error.what()).find("p.jsonl line 9"), std::string::npos);
  }
}

}  // namespace
}  // namespace haq::session
