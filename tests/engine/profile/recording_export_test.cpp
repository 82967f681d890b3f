// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/profile/recordings/recording_export.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "engine/base/file.h"
#include "engine/profile/recordings/recording_import.h"
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
using testing::HasSubstr;

class RecordingExport : public testing::Test {
 protected:
  Trace add(const std::string& name, const ExpertShape& shape, std::int64_t tokens) {
    const Trace trace = random_trace(shape, tokens, random_);
    Recording recording = sample_recording(name, shape);
    recording.model = "demo \"model\"";
    recording.architecture = "mixtral";
    recording.fingerprint = "abc";
    recording.source = "live";
    recording.run_json = R"({"policy":"lru"})";
    recording.created_ms = 1234;
    recordings_.add(recording, trace);
    return trace;
  }
  fs::path out(const std::string& name) const { return folder_.path() / name; }
  ExportedRecording write(const std::string& name, RecordingForm form, const fs::path& file,
                          const TokenRange& range = {}) {
    return export_recording(store_.database, name, form, file, range);
  }
  std::vector<std::string> files() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder_.path())) {
      names.push_back(entry.path().filename());
    }
    return names;
  }

  std::mt19937 random_{7};
  test::TempDir folder_;
  StoreFile store_ = StoreFile::open(folder_.path() / "haq.db", Database::Access::kReadWrite);
  Recordings recordings_{store_.database};
};

/// The steps of a trace as one list, so that two can be compared.
std::vector<std::int64_t> flat(const Trace& trace) {
  const experts::Steps steps(trace);
  std::vector<std::int64_t> flat;
  for (std::int64_t i = 0; i < steps.count(); ++i) {
    const experts::Step step = steps.step(i);
    flat.insert(flat.end(), {-1, step.layer, step.tokens});
    flat.insert(flat.end(), step.experts.begin(), step.experts.end());
    flat.insert(flat.end(), step.counts.begin(), step.counts.end());
  }
  return flat;
}

TEST_F(RecordingExport, AStandAloneFileComesBackWithEverything) {
  for (const ExpertShape shape :
       {ExpertShape{3, 6, 2}, ExpertShape{1, 1, 1}, ExpertShape{2, experts::kMaxExperts, 256}}) {
    const std::string name = fmt::format("of {}", shape.experts);
    const Trace trace = add(name, shape, 30);
    const fs::path file = out("alone.db");
    EXPECT_EQ(write(name, RecordingForm::kSqlite, file).tokens, 30);
    const ImportedRecording back = read_recording_file(file);
    ASSERT_TRUE(back.trace);
    expect_equal(*back.trace, trace);
    const Recording stored = recordings_.get(name);
    EXPECT_EQ(back.recording.name, name);
    EXPECT_EQ(back.recording.created_ms, 1234);
    EXPECT_EQ(back.recording.state, "done");
    EXPECT_EQ(back.recording.model, stored.model);
    EXPECT_EQ(back.recording.architecture, "mixtral");
    EXPECT_EQ(back.recording.fingerprint, "abc");
    EXPECT_EQ(back.recording.shape, shape);
    EXPECT_EQ(back.recording.prompts, stored.prompts);
    EXPECT_EQ(back.recording.source, "live");
    EXPECT_EQ(back.recording.run_json, stored.run_json);
    recordings_.remove(name);
    add_imported(recordings_, back);
    expect_equal(recordings_.read(name), trace);
    EXPECT_EQ(recordings_.get(name).fingerprint, "abc");
  }
  // The name is free again: nothing is left of the temporary names, nor a journal.
  EXPECT_THAT(files(), testing::UnorderedElementsAre("haq.db", "haq.db-wal", "haq.db-shm",
                                                     "haq.db.lock", "alone.db"));
}

TEST_F(RecordingExport, AStandAloneFileSaysWhatItHolds) {
  add("a", {3, 6, 2}, 5);
  write("a", RecordingForm::kSqlite, out("a.db"));
  Database file = Database::open(out("a.db"), Database::Access::kReadOnly);
  EXPECT_THAT(file.query_text("SELECT sql FROM sqlite_schema WHERE name = 'tokens'"),
              HasSubstr("-- layers x top_k expert numbers"));
  EXPECT_EQ(file.query_integer("SELECT count(*) FROM tokens"), 5);
  EXPECT_EQ(file.query_integer("SELECT length(path) FROM tokens WHERE token = 4"), 12);
  EXPECT_EQ(file.query_text("PRAGMA journal_mode"), "delete");
}

TEST_F(RecordingExport, AnInterruptedRecordingStaysOne) {
  const std::int64_t id = recordings_.begin(sample_recording("a", {2, 4, 1}));
  const std::uint16_t path[] = {3, 0};
  const RecordedToken token{0, 0, true, path};
  recordings_.append(id, {&token, 1});
  write("a", RecordingForm::kSqlite, out("running.db"));
  EXPECT_EQ(read_recording_file(out("running.db")).recording.state, "interrupted");
  recordings_.finish(id, "interrupted", 5, "{}");
  write("a", RecordingForm::kSqlite, out("a.db"));
  ImportedRecording back = read_recording_file(out("a.db"));
  EXPECT_EQ(back.recording.state, "interrupted");
  back.recording.name = "b";
  add_imported(recordings_, back);
  EXPECT_EQ(recordings_.get("b").state, "interrupted");
  EXPECT_EQ(recordings_.get("b").dropped_events, 5);
}

TEST_F(RecordingExport, CountsTravelInAStandAloneFileOnly) {
  const std::vector<std::int64_t> uses = {5, 0, 7, 1, 0, 9};
  recordings_.add_counts(sample_recording("a", {2, 3, 0}), uses);
  write("a", RecordingForm::kSqlite, out("a.db"));
  const ImportedRecording back = read_recording_file(out("a.db"));
  EXPECT_FALSE(back.trace);
  EXPECT_EQ(back.uses, uses);
  recordings_.remove("a");
  add_imported(recordings_, back);
  EXPECT_EQ(recordings_.uses("a", {}), uses);
  for (const RecordingForm form :
       {RecordingForm::kCsv, RecordingForm::kNpy, RecordingForm::kPerfetto}) {
    const Error error = error_of([&] { write("a", form, out("x")); });
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    EXPECT_THAT(error.what(), HasSubstr("uses per expert only"));
  }
  EXPECT_FALSE(fs::exists(out("x")));
}

TEST_F(RecordingExport, RowsOfLayerAndExpertReplayAsDecode) {
  const Trace trace = add("a", {3, 6, 2}, 40);
  const ExportedRecording exported = write("a", RecordingForm::kCsv, out("a.csv"));
  EXPECT_THAT(exported.notices, testing::Contains(HasSubstr("tokens of prefill")));
  EXPECT_TRUE(read_text_file(out("a.csv"), 1 << 20).starts_with("layer,expert\n0,"));
  const ImportedRecording back = read_recording_file(out("a.csv"), {.experts = 6});
  ASSERT_TRUE(back.trace);
  EXPECT_EQ(back.trace->shape, trace.shape);
  EXPECT_TRUE(back.trace->ids == trace.ids);
  EXPECT_EQ(back.trace->batches.size(), 40U);
  EXPECT_EQ(back.recording.name, "a");
  EXPECT_EQ(back.recording.source, "a.csv");
  EXPECT_THAT(back.notices, testing::Contains(HasSubstr("fewer than 2 experts")));
  add("one layer", {1, 6, 2}, 4);
  EXPECT_EQ(code_of([&] { write("one layer", RecordingForm::kCsv, out("x.csv")); }),
            ErrorCode::kUnsupported);
}

TEST_F(RecordingExport, NpyHoldsTheSameNumbers) {
  const Trace trace = add("a", {3, experts::kMaxExperts, 2}, 40);
  write("a", RecordingForm::kNpy, out("a.npy"));
  const std::string bytes = read_text_file(out("a.npy"), 1 << 20);
  EXPECT_EQ((bytes.size() - 40 * 3 * 2 * 2) % 64, 0U) << "the header is padded";
  EXPECT_THAT(bytes, HasSubstr("'shape': (40, 3, 2)"));
  const ImportedRecording back =
      read_recording_file(out("a.npy"), {.experts = experts::kMaxExperts});
  EXPECT_EQ(back.trace->shape, trace.shape);
  EXPECT_TRUE(back.trace->ids == trace.ids);
}

TEST_F(RecordingExport, PerfettoHasATrackPerLayerAndASlicePerStep) {
  const Trace trace = add("a \"b\"", {3, 6, 2}, 25);
  const ExportedRecording exported = write("a \"b\"", RecordingForm::kPerfetto, out("a.json"));
  EXPECT_THAT(exported.notices, testing::ElementsAre(HasSubstr("synthetic")));
  const nlohmann::json json = nlohmann::json::parse(read_text_file(out("a.json"), 1 << 20));
  EXPECT_THAT(json.at("otherData").at("times").get<std::string>(), HasSubstr("synthetic"));
  const experts::Steps steps(trace);
  std::int64_t step = 0, tracks = 0, last_end = 0;
  for (const nlohmann::json& event : json.at("traceEvents")) {
    if (event.at("ph") == "M") {
      if (event.at("name") == "thread_name") ++tracks;
      if (event.at("name") == "process_name") {
        EXPECT_THAT(event.at("args").at("name").get<std::string>(), HasSubstr("synthetic"));
      }
      continue;
    }
    ASSERT_LT(step, steps.count());
    const experts::Step expected = steps.step(step);
    EXPECT_EQ(event.at("tid"), expected.layer + 1);
    EXPECT_EQ(event.at("args").at("tokens"), expected.tokens);
    EXPECT_EQ(event.at("args").at("token"), steps.first_token(step));
    EXPECT_EQ(event.at("args").at("experts").get<std::vector<std::uint16_t>>(),
              (std::vector<std::uint16_t>{expected.experts.begin(), expected.experts.end()}));
    EXPECT_GE(event.at("ts").get<std::int64_t>(), last_end) << "steps follow one another";
    last_end = event.at("ts").get<std::int64_t>() + event.at("dur").get<std::int64_t>();
    ++step;
  }
  EXPECT_EQ(step, steps.count());
  EXPECT_EQ(tracks, 3);
}

TEST_F(RecordingExport, APartOfTheTokens) {
  const Trace trace = add("a", {3, 6, 2}, 40);
  EXPECT_EQ(write("a", RecordingForm::kNpy, out("a.npy"), {10, 5}).tokens, 5);
  const ImportedRecording back = read_recording_file(out("a.npy"), {.experts = 6});
  EXPECT_TRUE(std::equal(back.trace->ids.begin(), back.trace->ids.end(), trace.ids.begin() + 60,
                         trace.ids.begin() + 90));
  EXPECT_EQ(write("a", RecordingForm::kCsv, out("a.csv"), {39, 0}).tokens, 1);
  for (const TokenRange range :
       {TokenRange{40, 0}, TokenRange{41, 0}, TokenRange{-1, 0}, TokenRange{0, -1},
        TokenRange{10, 31}, TokenRange{std::numeric_limits<std::int64_t>::max(), 1}}) {
    EXPECT_EQ(code_of([&] { write("a", RecordingForm::kNpy, out("x.npy"), range); }),
              ErrorCode::kInvalidArgument);
  }
  EXPECT_EQ(code_of([&] {
              write("a", RecordingForm::kSqlite, out("x.db"), {0, 5});
            }),
            ErrorCode::kInvalidArgument);
}

TEST_F(RecordingExport, NothingIsHalfWritten) {
  add("a", {3, 6, 2}, 40);
  const CancelToken cancel;
  cancel.cancel();
  for (const RecordingForm form : {RecordingForm::kSqlite, RecordingForm::kCsv, RecordingForm::kNpy,
                                   RecordingForm::kPerfetto}) {
    EXPECT_EQ(
        code_of([&] { export_recording(store_.database, "a", form, out("x"), {}, {}, cancel); }),
        ErrorCode::kCancelled);
    EXPECT_EQ(code_of([&] { write("none", form, out("x")); }), ErrorCode::kNotFound);
    EXPECT_EQ(code_of([&] { write("a", form, out("no") / "folder" / "x"); }), ErrorCode::kNotFound);
    EXPECT_EQ(recording_form_from(form == RecordingForm::kSqlite ? "sqlite"
                                  : form == RecordingForm::kCsv  ? "csv"
                                  : form == RecordingForm::kNpy  ? "npy"
                                                                 : "perfetto"),
              form);
    EXPECT_EQ(file_suffix(form)[0], '.');
  }
  EXPECT_EQ(code_of([&] { recording_form_from("pdf"); }), ErrorCode::kInvalidArgument);
  EXPECT_THAT(files(),
              testing::UnorderedElementsAre("haq.db", "haq.db-wal", "haq.db-shm", "haq.db.lock"));
}

TEST_F(RecordingExport, TheSharedTracesComeBackTheSameFromEveryForm) {
  HAQ_REQUIRE_SHARED();
  const fs::path traces = test::shared_dir() / "data/traces";
  for (const char* name : {"qwen3-30b-a3b.route.csv", "gpt-oss-20b"}) {
    const Trace trace = read_trace(traces / name);
    ImportedRecording imported = read_recording_file(traces / name);
    imported.recording.name = name;
    add_imported(recordings_, imported);
    const Trace stored = recordings_.read(name);
    expect_equal(stored, trace);
    EXPECT_TRUE(flat(stored) == flat(trace));
    EXPECT_EQ(recordings_.uses(name, true), experts::count_uses(trace, 0, trace.tokens()));
    write(name, RecordingForm::kSqlite, out("t.db"));
    expect_equal(*read_recording_file(out("t.db")).trace, trace);
    const TraceHints hints{.experts = trace.shape.experts};
    for (const RecordingForm form : {RecordingForm::kCsv, RecordingForm::kNpy}) {
      const fs::path file = out(std::string("t") + file_suffix(form));
      write(name, form, file);
      const ImportedRecording back = read_recording_file(file, hints);
      EXPECT_EQ(back.trace->shape, trace.shape);
      EXPECT_TRUE(back.trace->ids == trace.ids);
    }
  }
  EXPECT_EQ(recordings_.get("gpt-oss-20b").tokens, 108828);
  EXPECT_EQ(recordings_.get("gpt-oss-20b").prompts, 349);
}

}  // namespace
}  // namespace haq::profile
