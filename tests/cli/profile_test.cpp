// SPDX-License-Identifier: GPL-3.0-or-later
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <fstream>

#include "engine/profile/recordings/recordings.h"
#include "engine/profile/store/store_file.h"
#include "tests/cli/json_checks.h"
#include "tests/support/paths.h"

namespace haq::test {
namespace {

using nlohmann::json;
using profile::Database;
using testing::HasSubstr;

class ProfileCommand : public testing::Test {
 protected:
  void SetUp() override {
    std::ofstream lines(path("prompts.jsonl"));
    lines << R"({"prompt": "Once upon a time", "set": "tales"})" << '\n'
          << R"({"prompt": "The little dog", "set": "dogs"})" << '\n'
          << R"({"prompt": "One day a big dog", "set": "dogs"})" << '\n';
    std::ofstream text(path("text.txt"));
    for (int i = 0; i < 20; ++i) text << "Max saw " << i << " birds in the big tree.\n\n";
  }
  std::string path(const std::string& name) const { return (folder_.path() / name).string(); }

  std::vector<std::string> command(const std::string& name, std::vector<std::string> more) const {
    std::vector<std::string> words = {"profile",   "--name", name,           "--db", path("haq.db"),
                                      "--threads", "2",      "--max-tokens", "6"};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  std::vector<std::string> lines(const std::string& name,
                                 std::vector<std::string> more = {}) const {
    more.insert(more.end(), {"--prompts", path("prompts.jsonl")});
    return command(name, more);
  }
  /// As the next program that opens the database for writing finds it.
  profile::Recording stored(const std::string& name) const {
    auto store = profile::StoreFile::open(path("haq.db"), Database::Access::kReadWrite);
    return profile::Recordings(store.database).get(name);
  }
  experts::Trace paths(const std::string& name) const {
    auto store = profile::StoreFile::open(path("haq.db"), Database::Access::kReadOnly);
    return profile::Recordings(store.database).read(name);
  }

  TempDir folder_;
};

TEST_F(ProfileCommand, RecordsPrompts) {
  const json result = run_json(lines("first"));
  expect_keys(result, {"recording", "tokens", "layers", "experts", "top_k", "coverage",
                       "coverage_first_half", "dropped_events", "dropped_tokens", "run"});
  EXPECT_EQ(result["recording"], "first");
  EXPECT_EQ(result["prompts"], 3);
  EXPECT_EQ(result["dropped_events"], 0);
  EXPECT_EQ(result["complete"], true);
  EXPECT_EQ(result["sets"].size(), 2U);
  EXPECT_EQ(result["sets"][0]["set"], "dogs");
  EXPECT_EQ(result["sets"][0]["prompts"], 2);
  const profile::Recording recording = stored("first");
  EXPECT_EQ(recording.state, "done");
  EXPECT_EQ(recording.tokens, result["tokens"]);
  EXPECT_EQ(recording.shape.layers, result["layers"]);
  EXPECT_EQ(recording.shape.experts, result["experts"]);
  EXPECT_EQ(recording.shape.top_k, result["top_k"]);
  EXPECT_EQ(recording.prompts, 3);
  EXPECT_FALSE(recording.fingerprint.empty());

  // The same prompts make the same choices, whatever is resident.
  run_json(lines("second", {"--device", "emulated", "--vram", "25%", "--policy", "lru"}));
  EXPECT_TRUE(paths("first").ids == paths("second").ids);
}

TEST_F(ProfileCommand, CutsATextIntoPrompts) {
  const json result =
      run_json(command("text", {"--text", path("text.txt"), "--prompt-tokens", "40"}));
  EXPECT_GT(result["prompts"], 3);
  EXPECT_LT(result["prompts"], 20);
  EXPECT_TRUE(result["sets"].empty());
  EXPECT_EQ(stored("text").prompts, result["prompts"]);
}

TEST_F(ProfileCommand, TakesOnlyTheSetsAskedFor) {
  const json result = run_json(lines("dogs", {"--set", "dogs"}));
  EXPECT_EQ(result["prompts"], 2);
  const ProcessResult none = run_haq(lines("none", {"--set", "cats"}));
  expect_failure(none, 1);
  EXPECT_THAT(none.err, HasSubstr("no prompt belongs to the set cats"));
}

TEST_F(ProfileCommand, ATakenNameIsRefusedUnlessItIsToGrow) {
  const json first = run_json(lines("same"));
  const experts::Trace before = paths("same");
  const ProcessResult again = run_haq(lines("same"));
  expect_failure(again, 1);
  EXPECT_THAT(again.err, HasSubstr("--append"));
  const json more = run_json(lines("same", {"--append", "--set", "dogs"}));
  EXPECT_EQ(more["recording"], "same");
  EXPECT_EQ(more["appended"], true);
  const experts::Trace after = paths("same");
  EXPECT_EQ(after.tokens(),
            first["tokens"].get<std::int64_t>() + more["tokens"].get<std::int64_t>());
  EXPECT_TRUE(std::equal(before.ids.begin(), before.ids.end(), after.ids.begin()));
  EXPECT_EQ(stored("same").prompts, 5);
  auto store = profile::StoreFile::open(path("haq.db"), Database::Access::kReadOnly);
  EXPECT_EQ(profile::Recordings(store.database).list().size(), 1U);
  // A name that is free is simply taken.
  EXPECT_EQ(run_json(lines("new", {"--append"}))["appended"], false);
}

TEST_F(ProfileCommand, OnlyPathsOfTheSameModelCanGrow) {
  {
    auto store = profile::StoreFile::open(path("haq.db"), Database::Access::kReadWrite);
    profile::Recordings recordings(store.database);
    profile::Recording other;
    other.name = "shape";
    other.shape = {2, 4, 1};
    recordings.finish(recordings.begin(other), "done", 0, "{}");
    other.name = "model";
    other.shape = {6, 16, 2};
    other.fingerprint = "somebody else's";
    recordings.finish(recordings.begin(other), "done", 0, "{}");
  }
  const ProcessResult shape = run_haq(lines("shape", {"--append"}));
  expect_failure(shape, 1);
  EXPECT_THAT(shape.err, HasSubstr("2 layers of 4 experts, top 1"));
  const ProcessResult model = run_haq(lines("model", {"--append"}));
  expect_failure(model, 1);
  EXPECT_THAT(model.err, HasSubstr("it is of another model"));
  const ProcessResult name = run_haq(lines("two\nlines"));
  expect_failure(name, 1);
}

TEST_F(ProfileCommand, CtrlCKeepsThePart) {
  ProcessOptions options;
  options.interrupt = [](const std::string&, const std::string& err) {
    return err.find("running prompts") != std::string::npos;
  };
  const ProcessResult result = run_haq(lines("part", {"--repeat", "100000", "--json"}), options);
  EXPECT_EQ(result.code, 130) << result.err;
  const json object = json::parse(result.out, nullptr, false);
  ASSERT_TRUE(object.is_object()) << result.out;
  EXPECT_EQ(object["complete"], false);
  const profile::Recording recording = stored("part");
  EXPECT_EQ(recording.state, "done");
  EXPECT_EQ(recording.tokens, object["tokens"]);
  EXPECT_EQ(paths("part").tokens(), recording.tokens);
}

TEST_F(ProfileCommand, AKillLeavesAReadableRecording) {
  ProcessOptions options;
  options.signal = SIGKILL;
  options.interrupt = [this](const std::string&, const std::string&) {
    try {
      auto store = profile::StoreFile::open(path("haq.db"), Database::Access::kReadOnly);
      return profile::Recordings(store.database).get("killed").tokens > 20;
    } catch (const Error&) {
      return false;  // not begun yet
    }
  };
  const ProcessResult result = run_haq(lines("killed", {"--repeat", "100000"}), options);
  EXPECT_EQ(result.code, 128 + SIGKILL) << result.err;
  const profile::Recording recording = stored("killed");
  EXPECT_EQ(recording.state, "interrupted");
  EXPECT_GT(recording.tokens, 20);
  const experts::Trace trace = paths("killed");
  EXPECT_EQ(trace.tokens(), recording.tokens);
  for (const std::uint16_t id : trace.ids) ASSERT_LT(id, trace.shape.experts);
  // And it can grow.
  const json more = run_json(lines("killed", {"--append"}));
  EXPECT_EQ(stored("killed").tokens, recording.tokens + more["tokens"].get<std::int64_t>());
}

TEST_F(ProfileCommand, WrongUsageIsRefusedBeforeAnythingIsLoaded) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> wrong = {
      {{"profile", "--prompts", path("prompts.jsonl")}, "--name is missing"},
      {command("n", {}), "one of --prompts and --text"},
      {lines("n", {"--text", path("text.txt")}), "one of --prompts and --text"},
      {command("n", {"--text", path("text.txt"), "--set", "a"}), "--set needs --prompts"},
      {lines("n", {"--prompt-tokens", "9"}), "--prompt-tokens needs --text"},
  };
  for (const auto& [words, says] : wrong) {
    const ProcessResult result = run_haq(words);
    expect_failure(result, 2);
    EXPECT_THAT(result.err, HasSubstr(says));
  }
}

TEST_F(ProfileCommand, BadPromptsNameTheLine) {
  std::ofstream(path("bad.jsonl")) << "{\"prompt\": \"a\"}\n{\"prompt\": 7}\n";
  const ProcessResult result = run_haq(command("bad", {"--prompts", path("bad.jsonl")}));
  expect_failure(result, 1);
  EXPECT_THAT(result.err, HasSubstr("bad.jsonl line 2"));
}

}  // namespace
}  // namespace haq::test
