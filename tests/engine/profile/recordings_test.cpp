// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/profile/recordings/recordings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <random>

#include "engine/profile/store/schema.h"
#include "engine/profile/store/store_file.h"
#include "tests/engine/profile/recording_samples.h"
#include "tests/support/errors.h"
#include "tests/support/paths.h"

namespace haq::profile {
namespace {

namespace fs = std::filesystem;
using experts::ExpertShape;
using experts::Trace;
using test::code_of;
using test::error_of;
using test::message_of;
using testing::HasSubstr;

constexpr std::uint16_t kNone = Trace::kAbsent;

class RecordingsTest : public testing::Test {
 protected:
  test::TempDir folder_;
  fs::path path_ = folder_.path() / "haq.db";
  StoreFile store_ = StoreFile::open(path_, Database::Access::kReadWrite);
  Recordings recordings_{store_.database};
};

TEST_F(RecordingsTest, KeepsEveryFieldAndEveryPath) {
  Recording recording = sample_recording("first", {2, 5, 2});
  recording.created_ms = 1234;
  recording.model = "demo";
  recording.architecture = "mixtral";
  recording.fingerprint = "abc";
  recording.source = "live";
  recording.notes = "a note";
  const std::int64_t id = recordings_.begin(recording);
  EXPECT_EQ(recordings_.get("first").state, "recording");
  // A prompt of three tokens in one batch, then two tokens of decode, in two appends.
  const std::uint16_t paths[5][4] = {
      {0, 1, 2, 3}, {4, 0, 1, 2}, {0, 1, kNone, kNone}, {3, 4, 0, 1}, {1, 0, 4, 3}};
  const RecordedToken prompt[] = {
      {0, 0, false, paths[0]}, {0, 0, false, paths[1]}, {0, 0, false, paths[2]}};
  const RecordedToken decode[] = {{0, 1, true, paths[3]}, {1, 7, true, paths[4]}};
  recordings_.append(id, prompt);
  recordings_.append(id, decode);
  recordings_.append(id, {});
  recordings_.finish(id, "done", 3, R"({"policy":"lru"})");

  const Recording back = recordings_.get("first");
  EXPECT_EQ(back.id, id);
  EXPECT_EQ(back.created_ms, 1234);
  EXPECT_EQ(back.state, "done");
  EXPECT_EQ(back.model, "demo");
  EXPECT_EQ(back.architecture, "mixtral");
  EXPECT_EQ(back.fingerprint, "abc");
  EXPECT_EQ(back.shape, (ExpertShape{2, 5, 2}));
  EXPECT_EQ(back.tokens, 5);
  EXPECT_EQ(back.decode_tokens, 2);
  EXPECT_EQ(back.prompts, 2);
  EXPECT_EQ(back.dropped_events, 3);
  EXPECT_EQ(back.source, "live");
  EXPECT_EQ(back.run_json, R"({"policy":"lru"})");
  EXPECT_EQ(back.notes, "a note");

  const Trace trace = recordings_.read("first");
  EXPECT_EQ(trace.shape, back.shape);
  ASSERT_EQ(trace.tokens(), 5);
  for (int token = 0; token < 5; ++token) {
    for (std::size_t i = 0; i < 4; ++i) {
      EXPECT_EQ(trace.ids[static_cast<std::size_t>(token) * 4 + i], paths[token][i]);
    }
  }
  ASSERT_EQ(trace.batches.size(), 3U);
  EXPECT_EQ(trace.batches[0].tokens, 3);
  EXPECT_FALSE(trace.batches[0].decode);
  EXPECT_EQ(trace.batches[1].first_token, 3);
  EXPECT_EQ(trace.batches[2].prompt, 1);
  EXPECT_THAT(trace.notices, testing::ElementsAre(HasSubstr("3 events were dropped")));

  EXPECT_EQ(recordings_.uses("first", false),
            (std::vector<std::int64_t>{3, 2, 0, 0, 1, 0, 1, 2, 1, 0}));
  EXPECT_EQ(recordings_.uses("first", true),
            (std::vector<std::int64_t>{1, 1, 0, 1, 1, 1, 1, 0, 1, 1}));
  EXPECT_EQ(recordings_.uses("first", {}), experts::count_uses(trace, 0, 5));
}

TEST_F(RecordingsTest, AnyTraceComesBackAsItWas) {
  std::mt19937 random(1);
  for (const ExpertShape shape :
       {ExpertShape{1, 1, 1}, ExpertShape{24, 32, 4}, ExpertShape{3, experts::kMaxExperts, 8},
        ExpertShape{2, 300, experts::kMaxTopK}, ExpertShape{experts::kMaxLayers, 2, 1}}) {
    const Trace trace = random_trace(shape, 40, random);
    const std::string name = fmt::format("{} x {}", shape.layers, shape.experts);
    recordings_.add(sample_recording(name, shape), trace);
    expect_equal(recordings_.read(name), trace);
    EXPECT_EQ(recordings_.get(name).state, "done");
    EXPECT_EQ(recordings_.uses(name, {}), experts::count_uses(trace, 0, trace.tokens()));
  }
}

TEST_F(RecordingsTest, ListsTheNewestFirst) {
  for (const int created : {1000, 3000, 2000}) {
    Recording recording = sample_recording(std::to_string(created), {1, 2, 1});
    recording.created_ms = created;
    recordings_.begin(recording);
  }
  std::vector<std::string> names;
  for (const Recording& recording : recordings_.list()) names.push_back(recording.name);
  EXPECT_THAT(names, testing::ElementsAre("3000", "2000", "1000"));
}

TEST_F(RecordingsTest, RefusesWhatMakesNoSense) {
  const ExpertShape shape{2, 4, 2};
  const auto begin = [&](const std::string& name, const ExpertShape& of) {
    return code_of([&] { recordings_.begin(sample_recording(name, of)); });
  };
  const std::int64_t id = recordings_.begin(sample_recording("taken", shape));
  EXPECT_EQ(begin("taken", shape), ErrorCode::kConflict);
  for (const std::string& name :
       {std::string(), std::string(201, 'x'), std::string("a\nb"), std::string("\xff"),
        std::string("a\0b", 3), std::string("\x7f")}) {
    EXPECT_EQ(begin(name, shape), ErrorCode::kInvalidArgument) << name;
  }
  EXPECT_NO_THROW(recordings_.begin(sample_recording(std::string(200, 'x'), shape)));
  for (const ExpertShape& wrong :
       {ExpertShape{0, 4, 2}, ExpertShape{2, 0, 2}, ExpertShape{2, 4, 0}, ExpertShape{2, 4, 5},
        ExpertShape{experts::kMaxLayers + 1, 4, 2}, ExpertShape{2, experts::kMaxExperts + 1, 2},
        ExpertShape{2, 400, experts::kMaxTopK + 1}, ExpertShape{-1, -1, -1}}) {
    EXPECT_EQ(begin("wrong", wrong), ErrorCode::kInvalidArgument);
  }
  Recording recording = sample_recording("wrong", shape);
  recording.run_json = "[]";
  EXPECT_EQ(code_of([&] { recordings_.begin(recording); }), ErrorCode::kInvalidArgument);

  const std::uint16_t path[] = {0, 1, 2, 3}, outside[] = {0, 1, 2, 4};
  const auto append = [&](std::initializer_list<RecordedToken> tokens) {
    return code_of([&] { recordings_.append(id, std::vector<RecordedToken>(tokens)); });
  };
  EXPECT_EQ(append({{0, 0, true, std::span(path).first(3)}}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(append({{0, 0, true, path}, {0, 1, true, outside}}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(append({{-1, 0, true, path}}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(append({{0, 1, true, path}, {0, 0, true, path}}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(append({{0, 1, true, path}, {0, 1, false, path}}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(append({{0, 1, true, path}, {1, 1, true, path}}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(recordings_.get("taken").tokens, 0) << "an append is whole or nothing";
  const RecordedToken good{0, 5, true, path};
  recordings_.append(id, {&good, 1});
  EXPECT_EQ(append({{0, 4, true, path}}), ErrorCode::kInvalidArgument)
      << "order holds over appends";
  EXPECT_EQ(append({{1, 5, true, path}}), ErrorCode::kInvalidArgument);

  EXPECT_EQ(code_of([&] { recordings_.finish(id, "counts", 0, "{}"); }),
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(code_of([&] { recordings_.finish(id, "done", -1, "{}"); }),
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(code_of([&] { recordings_.finish(id, "done", 0, "{"); }), ErrorCode::kInvalidArgument);
  recordings_.finish(id, "done", 0, "{}");
  EXPECT_EQ(append({{0, 6, true, path}}), ErrorCode::kInvalidArgument) << "it is finished";
  EXPECT_EQ(code_of([&] { recordings_.finish(id, "done", 0, "{}"); }), ErrorCode::kInvalidArgument);
  for (const std::function<void()>& call : std::initializer_list<std::function<void()>>{
           [&] { recordings_.get("none"); }, [&] { recordings_.read("none"); },
           [&] { recordings_.uses("none", {}); }, [&] { recordings_.remove("none"); },
           [&] { recordings_.rename("none", "other"); }, [&] { recordings_.append(77, {}); },
           [&] { recordings_.finish(77, "done", 0, "{}"); }}) {
    EXPECT_EQ(code_of(call), ErrorCode::kNotFound);
  }
}

TEST_F(RecordingsTest, ATraceWhoseBatchesDoNotCoverItIsRefused) {
  std::mt19937 random(2);
  const Trace good = random_trace({2, 4, 2}, 10, random);
  const auto add = [&](const std::function<void(Trace&)>& change) {
    Trace trace = good;
    change(trace);
    return code_of([&] { recordings_.add(sample_recording("x", trace.shape), trace); });
  };
  EXPECT_EQ(add([](Trace& t) { t.batches.pop_back(); }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(add([](Trace& t) { t.batches[1].first_token += 1; }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(add([](Trace& t) { t.batches[0].tokens = 11; }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(add([](Trace& t) { t.ids[3] = 4; }), ErrorCode::kInvalidArgument);
  EXPECT_TRUE(recordings_.list().empty());
  EXPECT_EQ(store_.database.query_integer("SELECT count(*) FROM recording_tokens"), 0);
}

TEST_F(RecordingsTest, RemovingTakesTokensUsesAndTheModel) {
  std::mt19937 random(3);
  const Trace trace = random_trace({2, 4, 2}, 10, random);
  recordings_.add(sample_recording("a", trace.shape), trace);
  recordings_.add(sample_recording("b", trace.shape), trace);
  const auto count = [&](const char* table) {
    return store_.database.query_integer(fmt::format("SELECT count(*) FROM {}", table));
  };
  EXPECT_EQ(count("models"), 1) << "one row for both";
  recordings_.remove("a");
  EXPECT_EQ(count("recording_tokens"), 10);
  EXPECT_EQ(count("models"), 1);
  expect_equal(recordings_.read("b"), trace);
  recordings_.remove("b");
  for (const char* table : {"recordings", "recording_tokens", "recording_uses", "models"}) {
    EXPECT_EQ(count(table), 0) << table;
  }
}

TEST_F(RecordingsTest, RenamesUnlessTheNameIsTaken) {
  recordings_.begin(sample_recording("a", {1, 2, 1}));
  recordings_.begin(sample_recording("b", {1, 2, 1}));
  EXPECT_EQ(code_of([&] { recordings_.rename("a", "b"); }), ErrorCode::kConflict);
  EXPECT_EQ(code_of([&] { recordings_.rename("a", ""); }), ErrorCode::kInvalidArgument);
  recordings_.rename("a", "a");
  recordings_.rename("a", "c");
  EXPECT_EQ(recordings_.get("c").id, 1);
  EXPECT_EQ(code_of([&] { recordings_.get("a"); }), ErrorCode::kNotFound);
  EXPECT_FALSE(recordings_.find("a"));
  EXPECT_EQ(recordings_.find("c").value().id, 1);
}

TEST_F(RecordingsTest, CountsHaveNoPaths) {
  const ExpertShape shape{2, 3, 0};  // top-k is not known
  const std::vector<std::int64_t> uses = {5, 0, 1, 0, 0, std::int64_t{1} << 40};
  recordings_.add_counts(sample_recording("counts", shape), uses);
  EXPECT_EQ(recordings_.get("counts").state, "counts");
  EXPECT_EQ(recordings_.get("counts").shape, shape);
  EXPECT_EQ(recordings_.uses("counts", {}), uses);
  const std::string why = message_of([&] { recordings_.read("counts"); });
  EXPECT_THAT(why, HasSubstr("uses per expert only"));
  recordings_.add_counts(sample_recording("more", shape), uses);
  const std::string names[] = {"counts", "more"};
  EXPECT_EQ(code_of([&] { recordings_.merge(names, "both"); }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code_of([&] {
              recordings_.add_counts(sample_recording("short", shape), std::span(uses).first(5));
            }),
            ErrorCode::kInvalidArgument);
  const std::vector<std::int64_t> negative = {5, 0, 1, 0, 0, -1};
  EXPECT_EQ(code_of([&] { recordings_.add_counts(sample_recording("n", shape), negative); }),
            ErrorCode::kInvalidArgument);
}

TEST_F(RecordingsTest, MergingKeepsTheOrderAndRenumbersPrompts) {
  std::mt19937 random(4);
  const Trace a = random_trace({3, 6, 2}, 20, random), b = random_trace({3, 6, 2}, 7, random);
  Recording of_a = sample_recording("a", a.shape);
  of_a.dropped_events = 2;
  Recording of_b = sample_recording("b", b.shape);
  of_b.fingerprint = "known";
  recordings_.add(of_a, a);
  recordings_.add(of_b, b);
  const std::string names[] = {"a", "b"};
  recordings_.merge(names, "both");
  const Recording merged = recordings_.get("both");
  EXPECT_EQ(merged.state, "done");
  EXPECT_EQ(merged.tokens, 27);
  EXPECT_EQ(merged.prompts, recordings_.get("a").prompts + recordings_.get("b").prompts);
  EXPECT_EQ(merged.dropped_events, 2);
  EXPECT_EQ(merged.fingerprint, "known");
  const Trace both = recordings_.read("both");
  std::vector<std::uint16_t> ids = a.ids;
  ids.insert(ids.end(), b.ids.begin(), b.ids.end());
  EXPECT_EQ(both.ids, ids);
  ASSERT_EQ(both.batches.size(), a.batches.size() + b.batches.size());
  std::int32_t prompt = 0;
  for (const Trace::Batch& batch : both.batches) {
    EXPECT_TRUE(batch.prompt == prompt || batch.prompt == prompt + 1);
    prompt = batch.prompt;
  }
  EXPECT_EQ(prompt + 1, merged.prompts);
  std::vector<std::int64_t> sum = recordings_.uses("a", {});
  const auto of_other = recordings_.uses("b", {});
  for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += of_other[i];
  EXPECT_EQ(recordings_.uses("both", {}), sum);

  EXPECT_EQ(code_of([&] { recordings_.merge(names, "both"); }), ErrorCode::kConflict);
  const std::string twice[] = {"a", "a"};
  EXPECT_EQ(code_of([&] { recordings_.merge(twice, "x"); }), ErrorCode::kInvalidArgument);
  recordings_.add(sample_recording("other", {3, 7, 2}), random_trace({3, 7, 2}, 3, random));
  const std::string shapes[] = {"a", "other"};
  EXPECT_EQ(code_of([&] { recordings_.merge(shapes, "x"); }), ErrorCode::kInvalidArgument);
  Recording foreign = sample_recording("foreign", b.shape);
  foreign.fingerprint = "another";
  recordings_.add(foreign, b);
  const std::string models[] = {"b", "foreign"};
  EXPECT_EQ(code_of([&] { recordings_.merge(models, "x"); }), ErrorCode::kInvalidArgument);
}

TEST_F(RecordingsTest, LongWorkStopsWhenAsked) {
  std::mt19937 random(5);
  const Trace trace = random_trace({2, 4, 2}, 30, random);
  const CancelToken cancel;
  cancel.cancel();
  EXPECT_EQ(
      code_of([&] { recordings_.add(sample_recording("a", trace.shape), trace, {}, cancel); }),
      ErrorCode::kCancelled);
  EXPECT_TRUE(recordings_.list().empty());
  recordings_.add(sample_recording("a", trace.shape), trace);
  EXPECT_EQ(code_of([&] { recordings_.read("a", cancel); }), ErrorCode::kCancelled);
}

TEST_F(RecordingsTest, WhatIsReadBackIsChecked) {
  std::mt19937 random(6);
  const Trace trace = random_trace({2, 4, 2}, 6, random);
  recordings_.add(sample_recording("a", trace.shape), trace);
  const auto read_after = [&](const std::string& sql) {
    Transaction transaction(store_.database);
    store_.database.exec("PRAGMA ignore_check_constraints = ON");
    store_.database.exec(sql);
    store_.database.exec("PRAGMA ignore_check_constraints = OFF");
    const Error error = error_of([&] {
      recordings_.uses("a", {});
      recordings_.read("a");
    });
    EXPECT_EQ(error.code(), ErrorCode::kCorrupt) << sql;
    EXPECT_THAT(error.what(), HasSubstr("\"a\"")) << sql;
    return std::string(error.what());
  };
  const std::string third = fmt::format("{}", (std::int64_t{1} << 40) + 3);
  EXPECT_THAT(read_after("UPDATE recording_tokens SET path = x'00' WHERE key = " + third),
              HasSubstr("token 3: the path has 1 bytes, expected 8"));
  EXPECT_THAT(
      read_after("UPDATE recording_tokens SET path = x'0000010004000300' WHERE key = " + third),
      HasSubstr("expert 4 in layer 1"));
  EXPECT_THAT(read_after("DELETE FROM recording_tokens WHERE key = " + third),
              HasSubstr("token 3"));
  EXPECT_THAT(read_after("UPDATE recording_tokens SET prompt = -1 WHERE key = " + third),
              HasSubstr("prompt"));
  EXPECT_THAT(read_after("UPDATE recording_tokens SET prompt = 1 << 40 WHERE key = " + third),
              HasSubstr("prompt"));
  EXPECT_THAT(read_after("UPDATE recording_tokens SET batch = -5 WHERE key = " + third),
              HasSubstr("batch"));
  EXPECT_THAT(read_after("UPDATE recording_tokens SET decode = 2 WHERE key = " + third),
              HasSubstr("decode"));
  EXPECT_THAT(read_after("UPDATE recordings SET tokens = 7"), HasSubstr("token 6: missing"));
  EXPECT_THAT(read_after("UPDATE recordings SET tokens = 1 << 62"), HasSubstr("tokens"));
  EXPECT_THAT(read_after("UPDATE recordings SET tokens = -1"), HasSubstr("tokens"));
  EXPECT_THAT(read_after("UPDATE recordings SET prompts = 9"), HasSubstr("prompts"));
  EXPECT_THAT(read_after("UPDATE recordings SET state = 'x'"), HasSubstr("state"));
  EXPECT_THAT(read_after("UPDATE recordings SET run = '3'"), HasSubstr("run"));
  EXPECT_THAT(read_after("UPDATE models SET layers = 1 << 40"), HasSubstr("layers"));
  EXPECT_THAT(read_after("UPDATE models SET top_k = 0"), HasSubstr("top-0"));
  EXPECT_THAT(read_after("UPDATE models SET experts = 3"), HasSubstr("expert"));
  EXPECT_THAT(read_after("UPDATE recording_uses SET uses = -1 WHERE layer = 0"), HasSubstr("uses"));
  EXPECT_THAT(read_after("UPDATE recording_uses SET layer = layer + 2"), HasSubstr("layer"));
  // Every change above was rolled back.
  expect_equal(recordings_.read("a"), trace);
}

}  // namespace
}  // namespace haq::profile
