// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/profile/store/quantization_runs.h"

#include <gtest/gtest.h>

#include <limits>

#include "engine/profile/chats/chat_store.h"
#include "engine/profile/chats/store_thread.h"
#include "engine/profile/store/schema.h"
#include "engine/profile/store/store_file.h"
#include "tests/support/errors.h"
#include "tests/support/paths.h"

namespace haq::profile {
namespace {

namespace fs = std::filesystem;
using test::code_of;

QuantizationRun sample(std::int64_t started) {
  QuantizationRun run;
  run.started_ms = started;
  run.state = "running";
  run.source = "/models/olmoe";
  run.target = "/models/olmoe-w8a8";
  run.method = "haq";
  run.options_json = R"({"method":"haq","seed":1})";
  return run;
}

class QuantizationRunsTest : public testing::Test {
 protected:
  test::TempDir folder_;
  fs::path path_ = folder_.path() / "haq.db";
  ChatStore store_ = ChatStore::open(path_);
  QuantizationRuns runs_ = store_.quantization_runs();
};

TEST_F(QuantizationRunsTest, KeepsEveryField) {
  QuantizationRun run = sample(1000);
  run.id = runs_.add(run);
  EXPECT_GT(run.id, 0);
  run.finished_ms = 9000;
  run.state = "done";
  run.report_json = R"({"schema":1,"method":"haq"})";
  run.error = "none";
  run.seconds = 8.25;
  run.ppl_before = 12.5;
  run.ppl_after = 12.55;
  run.kld_mean = 0.0079;
  run.bytes_before = std::int64_t{14} << 30;
  run.bytes_after = std::int64_t{7} << 30;
  runs_.update(run);
  const QuantizationRun back = runs_.get(run.id);
  EXPECT_EQ(back.id, run.id);
  EXPECT_EQ(back.started_ms, 1000);
  EXPECT_EQ(back.finished_ms, 9000);
  EXPECT_EQ(back.state, "done");
  EXPECT_EQ(back.source, run.source);
  EXPECT_EQ(back.target, run.target);
  EXPECT_EQ(back.method, "haq");
  EXPECT_EQ(back.options_json, run.options_json);
  EXPECT_EQ(back.report_json, run.report_json);
  EXPECT_EQ(back.error, "none");
  EXPECT_EQ(back.seconds, 8.25);
  EXPECT_EQ(back.ppl_before, 12.5);
  EXPECT_EQ(back.ppl_after, 12.55);
  EXPECT_EQ(back.kld_mean, 0.0079);
  EXPECT_EQ(back.bytes_before, run.bytes_before);
  EXPECT_EQ(back.bytes_after, run.bytes_after);
}

TEST_F(QuantizationRunsTest, ListsTheNewestFirstWithoutTheReport) {
  QuantizationRun old = sample(1000);
  old.state = "done";
  old.report_json = "{\"large\": true}";
  const std::int64_t first = runs_.add(old);
  const std::int64_t second = runs_.add(sample(3000));
  const std::int64_t third = runs_.add(sample(2000));
  const std::int64_t fourth = runs_.add(sample(3000));
  const auto list = runs_.list();
  ASSERT_EQ(list.size(), 4U);
  EXPECT_EQ(list[0].id, fourth) << "the later one of two that began together";
  EXPECT_EQ(list[1].id, second);
  EXPECT_EQ(list[2].id, third);
  EXPECT_EQ(list[3].id, first);
  EXPECT_TRUE(list[3].report_json.empty());
  EXPECT_EQ(runs_.get(first).report_json, old.report_json);
}

TEST_F(QuantizationRunsTest, WhatWasNotMeasuredStaysEmpty) {
  QuantizationRun run = sample(1);
  run.ppl_after = std::numeric_limits<double>::infinity();
  run.kld_mean = std::numeric_limits<double>::quiet_NaN();
  const QuantizationRun back = runs_.get(runs_.add(run));
  EXPECT_FALSE(back.ppl_before);
  EXPECT_FALSE(back.ppl_after);
  EXPECT_FALSE(back.kld_mean);
}

TEST_F(QuantizationRunsTest, ANewRunHasAStartAndItsOwnId) {
  QuantizationRun run = sample(0);
  run.id = 77;
  run.options_json.clear();
  const QuantizationRun back = runs_.get(runs_.add(run));
  EXPECT_NE(back.id, 77);
  EXPECT_GT(back.started_ms, 1600000000000);
  EXPECT_EQ(back.options_json, "{}");
}

TEST_F(QuantizationRunsTest, RemovesTheRowOnly) {
  const fs::path target = folder_.path() / "model";
  fs::create_directories(target);
  QuantizationRun run = sample(1);
  run.target = target.string();
  const std::int64_t id = runs_.add(run);
  runs_.remove(id);
  EXPECT_TRUE(runs_.list().empty());
  EXPECT_TRUE(fs::exists(target));
  EXPECT_NE(runs_.add(run), id) << "ids are never used again";
}

TEST_F(QuantizationRunsTest, RefusesWhatMakesNoSense) {
  EXPECT_EQ(code_of([&] { runs_.get(5); }), ErrorCode::kNotFound);
  EXPECT_EQ(code_of([&] { runs_.remove(5); }), ErrorCode::kNotFound);
  QuantizationRun run = sample(1);
  run.id = 5;
  EXPECT_EQ(code_of([&] { runs_.update(run); }), ErrorCode::kNotFound);
  run.state = "asleep";
  EXPECT_EQ(code_of([&] { runs_.add(run); }), ErrorCode::kInvalidArgument);
  run = sample(1);
  run.options_json = "[1]";
  EXPECT_EQ(code_of([&] { runs_.add(run); }), ErrorCode::kInvalidArgument);
  run = sample(1);
  run.report_json = "{";
  EXPECT_EQ(code_of([&] { runs_.add(run); }), ErrorCode::kInvalidArgument);
  run = sample(1);
  run.seconds = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(code_of([&] { runs_.add(run); }), ErrorCode::kInvalidArgument);
  EXPECT_TRUE(runs_.list().empty());
}

TEST(QuantizationRuns, ARunOfADeadProgramIsStoppedWhenTheStoreOpens) {
  const test::TempDir folder;
  const fs::path path = folder.path() / "haq.db";
  std::int64_t running = 0, done = 0;
  {
    ChatStore store = ChatStore::open(path);
    QuantizationRun run = sample(1);
    running = store.quantization_runs().add(run);
    run.state = "done";
    done = store.quantization_runs().add(run);
    EXPECT_EQ(ChatStore::open_read_only(path).quantization_runs().get(running).state, "running")
        << "a reader changes nothing";
  }
  ChatStore store = ChatStore::open(path);
  EXPECT_EQ(store.quantization_runs().get(running).state, "stopped");
  EXPECT_EQ(store.quantization_runs().get(done).state, "done");
  EXPECT_EQ(store.quantization_runs().recover(), 0);
}

TEST(QuantizationRuns, AStoreOfVersionOneIsBroughtUpToDate) {
  const test::TempDir folder;
  const fs::path path = folder.path() / "haq.db";
  {
    Database database = Database::open(path, Database::Access::kReadWrite);
    database.exec(migrations()[0]);
    database.exec(
        fmt::format("PRAGMA application_id = {}; PRAGMA user_version = 1", kApplicationId));
    database.exec("INSERT INTO conversations (title, created_ms, updated_ms) VALUES ('old', 1, 1)");
  }
  ChatStore store = ChatStore::open(path);
  EXPECT_TRUE(store.notices().empty());
  ASSERT_EQ(store.conversations().size(), 1U);
  EXPECT_EQ(store.conversations()[0].title, "old");
  const std::int64_t id = store.quantization_runs().add(sample(1));
  EXPECT_EQ(store.quantization_runs().get(id).method, "haq");
  EXPECT_GE(schema_version(), 2);
}

TEST(QuantizationRuns, TheStoresThreadReachesThem) {
  const test::TempDir folder;
  const fs::path path = folder.path() / "haq.db";
  {
    StoreThread thread(ChatStore::open(path), [](const Error& error) { FAIL() << error.what(); });
    thread.post([](ChatStore& store) { store.quantization_runs().add(sample(1)); });
    thread.flush();
  }
  EXPECT_EQ(ChatStore::open(path).quantization_runs().list().size(), 1U);
}

}  // namespace
}  // namespace haq::profile
