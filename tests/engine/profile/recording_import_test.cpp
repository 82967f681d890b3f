// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/profile/recordings/recording_import.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <limits>

#include "engine/base/file.h"
#include "engine/profile/recordings/recording_export.h"
#include "engine/profile/store/store_file.h"
#include "tests/engine/profile/recording_samples.h"
#include "tests/support/errors.h"
#include "tests/support/paths.h"

namespace haq::profile {
namespace {

namespace fs = std::filesystem;
using experts::ExpertShape;
using test::code_of;
using test::error_of;
using testing::HasSubstr;

template <typename Value>
void put(std::string& bytes, Value value) {
  bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
}
void put_text(std::string& bytes, const std::string& text) {
  put(bytes, std::uint64_t{text.size()});
  bytes += text;
}

/// A GGUF file of float32 tensors, as llama-imatrix writes it.
struct Gguf {
  std::string type = "imatrix";
  std::uint32_t version = 3;
  std::vector<std::pair<std::string, std::vector<float>>> tensors;

  std::string bytes() const {
    std::string out = "GGUF";
    put(out, version);
    put(out, std::uint64_t{tensors.size()});
    put(out, std::uint64_t{4});
    put_text(out, "general.type");
    put(out, std::uint32_t{8});
    put_text(out, type);
    put_text(out, "imatrix.datasets");  // an array of texts
    put(out, std::uint32_t{9});
    put(out, std::uint32_t{8});
    put(out, std::uint64_t{2});
    put_text(out, "one.txt");
    put_text(out, "two.txt");
    put_text(out, "imatrix.chunk_count");
    put(out, std::uint32_t{4});
    put(out, std::uint32_t{10});
    put_text(out, "some.numbers");  // an array of numbers
    put(out, std::uint32_t{9});
    put(out, std::uint32_t{2});
    put(out, std::uint64_t{3});
    out += "abcdef";
    std::uint64_t offset = 0;
    for (const auto& [name, values] : tensors) {
      put_text(out, name);
      put(out, std::uint32_t{2});
      put(out, std::uint64_t{1});
      put(out, std::uint64_t{values.size()});
      put(out, std::uint32_t{0});
      put(out, offset);
      offset += (values.size() * 4 + 31) / 32 * 32;
    }
    out.resize((out.size() + 31) / 32 * 32);
    for (const auto& [name, values] : tensors) {
      out.append(reinterpret_cast<const char*>(values.data()), values.size() * 4);
      out.resize((out.size() + 31) / 32 * 32);
    }
    return out;
  }
};

Gguf sample_gguf() {
  Gguf file;
  for (const int block : {1, 2}) {
    const float first = static_cast<float>(block);
    for (const char* part : {"gate", "up", "down"}) {
      file.tensors.emplace_back(fmt::format("blk.{}.ffn_{}_exps.weight.counts", block, part),
                                std::vector<float>{first, 0, 3, 8 - first - 3});
      file.tensors.emplace_back(fmt::format("blk.{}.ffn_{}_exps.weight.in_sum2", block, part),
                                std::vector<float>(8, 0.5F));
    }
    file.tensors.emplace_back(fmt::format("blk.{}.ffn_gate_inp.weight.counts", block),
                              std::vector<float>{4});
  }
  file.tensors.emplace_back("blk.0.ffn_up.weight.counts", std::vector<float>{4});
  return file;
}

class RecordingImport : public testing::Test {
 protected:
  fs::path write(const std::string& name, const std::string& bytes) {
    const fs::path path = folder_.path() / name;
    fs::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << bytes;
    return path;
  }
  Error failure(const std::string& name, const std::string& bytes, const TraceHints& hints = {}) {
    const fs::path path = write(name, bytes);
    const Error error = error_of([&] { read_recording_file(path, hints); });
    EXPECT_THAT(error.what(), HasSubstr(name));
    return error;
  }
  test::TempDir folder_;
};

TEST_F(RecordingImport, AnImportanceMatrixGivesCounts) {
  const ImportedRecording found = read_recording_file(write("m.gguf", sample_gguf().bytes()));
  EXPECT_FALSE(found.trace);
  EXPECT_EQ(found.recording.state, "counts");
  EXPECT_EQ(found.recording.name, "m");
  EXPECT_EQ(found.recording.source, "m.gguf");
  // 8 choices of 4 tokens: two each.
  EXPECT_EQ(found.recording.shape, (ExpertShape{2, 4, 2}));
  EXPECT_EQ(found.uses, (std::vector<std::int64_t>{1, 0, 3, 4, 2, 0, 3, 3}));
  EXPECT_THAT(found.notices, testing::ElementsAre(HasSubstr("numbered from 0")));
  EXPECT_EQ(read_recording_file(write("m.gguf", sample_gguf().bytes()), {2, 4, 2}).uses,
            found.uses);

  Gguf without = sample_gguf();
  std::erase_if(without.tensors, [](const auto& tensor) {
    return tensor.first.find("gate_inp") != std::string::npos;
  });
  EXPECT_EQ(read_recording_file(write("w.gguf", without.bytes())).recording.shape,
            (ExpertShape{2, 4, 0}));
  EXPECT_EQ(read_recording_file(write("w.gguf", without.bytes()), {.top_k = 3}).recording.shape,
            (ExpertShape{2, 4, 3}));

  StoreFile store = StoreFile::open(folder_.path() / "haq.db", Database::Access::kReadWrite);
  Recordings recordings(store.database);
  add_imported(recordings, found);
  EXPECT_EQ(recordings.get("m").state, "counts");
  EXPECT_EQ(recordings.uses("m", {}), found.uses);
}

TEST_F(RecordingImport, BadImportanceMatricesAreNamed) {
  const auto changed = [&](const std::function<void(Gguf&)>& change, const TraceHints& hints = {}) {
    Gguf file = sample_gguf();
    change(file);
    return std::string(failure("m.gguf", file.bytes(), hints).what());
  };
  EXPECT_THAT(changed([](Gguf& f) { f.type = "model"; }), HasSubstr("general.type"));
  EXPECT_THAT(changed([](Gguf& f) { f.version = 1; }), HasSubstr("version 1"));
  EXPECT_THAT(changed([](Gguf& f) { f.tensors.resize(0); }), HasSubstr("no counts per expert"));
  EXPECT_THAT(changed([](Gguf& f) { f.tensors[0].second[0] = -1; }), HasSubstr("a count is -1"));
  EXPECT_THAT(
      changed([](Gguf& f) { f.tensors[0].second[0] = std::numeric_limits<float>::quiet_NaN(); }),
      HasSubstr("a count is"));
  EXPECT_THAT(changed([](Gguf& f) { f.tensors[0].second = {5}; }), HasSubstr("older form"));
  EXPECT_THAT(changed([](Gguf& f) { f.tensors[0].second.push_back(1); }), HasSubstr("counts"));
  EXPECT_THAT(changed([](Gguf& f) { f.tensors[0].second.resize(5000); }), HasSubstr("5000"));
  EXPECT_THAT(changed([](Gguf& f) { f.tensors.push_back(f.tensors[0]); }), HasSubstr("twice"));
  EXPECT_THAT(changed([](Gguf&) {}, {.experts = 8}), HasSubstr("experts is 4"));
  EXPECT_THAT(changed([](Gguf&) {}, {.layers = 8}), HasSubstr("layers is 2"));
  EXPECT_THAT(changed([](Gguf&) {}, {.top_k = 8}), HasSubstr("top-k is 2"));
}

TEST_F(RecordingImport, ACutOrDamagedFileNeverCrashes) {
  const std::string good = sample_gguf().bytes();
  for (std::size_t size = 4; size + 32 < good.size(); size += 7) {
    failure("cut.gguf", good.substr(0, size));
  }
  std::mt19937 random(8);
  for (int round = 0; round < 500; ++round) {
    std::string bytes = good;
    for (int i = 0; i < 4; ++i)
      bytes[4 + random() % (bytes.size() - 4)] = static_cast<char>(random());
    try {
      read_recording_file(write("damaged.gguf", bytes));
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), HasSubstr("damaged.gguf"));
    }
  }
}

TEST_F(RecordingImport, TheOlderMatrixDoesNotHoldCounts) {
  std::string bytes;
  put(bytes, std::int32_t{1});
  const std::string name = "blk.0.ffn_up_exps.weight";
  put(bytes, static_cast<std::int32_t>(name.size()));
  bytes += name;
  put(bytes, std::int32_t{10});
  put(bytes, std::int32_t{1});
  put(bytes, 0.5F);
  const Error error = failure("imatrix.dat", bytes);
  EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
  EXPECT_THAT(error.what(), HasSubstr("older form"));
  EXPECT_THAT(error.hint(), HasSubstr("gguf"));
  EXPECT_EQ(failure("other.dat", "something").code(), ErrorCode::kUnsupported);
}

TEST_F(RecordingImport, PathsThatCannotBeAreRefused) {
  // As top-4 of two layers the second layer would repeat expert 1.
  const std::string text = "layer,expert\n0,1\n0,2\n1,1\n1,1\n0,0\n1,2\n";
  const Error twice = failure("twice.csv", text);
  EXPECT_EQ(twice.code(), ErrorCode::kCorrupt);
  EXPECT_THAT(twice.what(), HasSubstr("token 0 names expert 1 twice in layer 1"));
  EXPECT_EQ(failure("wide.csv", "layer,expert\n" + std::string(3 << 20, ',')).code(),
            ErrorCode::kCorrupt);
  EXPECT_EQ(failure("columns.csv", std::string(3 << 20, ',')).code(), ErrorCode::kCorrupt);
  EXPECT_EQ(failure("id.csv", "layer,expert\n0,5000\n").code(), ErrorCode::kCorrupt);
  EXPECT_EQ(failure("hint.csv", "layer,expert\n0,3\n1,0\n", {.experts = 3}).code(),
            ErrorCode::kCorrupt);
  EXPECT_EQ(code_of([&] { read_recording_file(folder_.path() / "none.npy"); }),
            ErrorCode::kNotFound);

  const ImportedRecording ragged =
      read_recording_file(write("ragged.csv", "layer,expert\n0,1\n0,2\n1,3\n1,1\n0,0\n1,2\n"));
  EXPECT_THAT(ragged.notices, testing::Contains(HasSubstr("1 of 2 tokens")));
}

TEST_F(RecordingImport, BadStandAloneFilesAreNamed) {
  const fs::path file = folder_.path() / "a.db";
  {
    std::mt19937 random(9);
    StoreFile store = StoreFile::open(folder_.path() / "haq.db", Database::Access::kReadWrite);
    Recordings recordings(store.database);
    const experts::Trace trace = random_trace({2, 4, 2}, 20, random);
    recordings.add(sample_recording("a", trace.shape), trace);
    export_recording(store.database, "a", RecordingForm::kSqlite, file);
  }
  const std::string good = read_text_file(file, 1 << 20);
  const auto after = [&](const std::string& sql, const TraceHints& hints = {}) {
    write("a.db", good);
    {
      Database database = Database::open(file, Database::Access::kPrivate);
      database.exec(sql);
    }
    const Error error = error_of([&] { read_recording_file(file, hints); });
    EXPECT_THAT(error.what(), HasSubstr("a.db")) << sql;
    return error;
  };
  EXPECT_EQ(after("PRAGMA application_id = 7").code(), ErrorCode::kUnsupported);
  EXPECT_EQ(after("PRAGMA user_version = 2").code(), ErrorCode::kConflict);
  EXPECT_EQ(after("DELETE FROM recording").code(), ErrorCode::kCorrupt);
  EXPECT_EQ(after("UPDATE recording SET tokens = 0, decode_tokens = 0, prompts = 0").code(),
            ErrorCode::kCorrupt);
  EXPECT_EQ(after("UPDATE recording SET tokens = 1 << 39").code(), ErrorCode::kLimit);
  EXPECT_EQ(after("UPDATE recording SET layers = 0").code(), ErrorCode::kCorrupt);
  EXPECT_EQ(after("UPDATE recording SET run = 'x'").code(), ErrorCode::kCorrupt);
  EXPECT_EQ(after("UPDATE tokens SET path = zeroblob(1 << 20)").code(), ErrorCode::kCorrupt);
  EXPECT_EQ(after("UPDATE tokens SET path = x'0000000000000000'").code(), ErrorCode::kCorrupt);
  EXPECT_EQ(after("DELETE FROM tokens WHERE token = 7").code(), ErrorCode::kCorrupt);
  EXPECT_NE(after("DROP TABLE tokens").code(), ErrorCode::kNotFound);
  EXPECT_EQ(after("UPDATE recording SET name = name", {.layers = 3}).code(),
            ErrorCode::kInvalidArgument);
  for (std::size_t size = 16; size < good.size(); size += good.size() / 9) {
    failure("a.db", good.substr(0, size));
  }
}

}  // namespace
}  // namespace haq::profile
