// SPDX-License-Identifier: GPL-3.0-or-later
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "engine/profile/store/store_file.h"
#include "tests/cli/json_checks.h"
#include "tests/support/paths.h"

namespace haq::test {
namespace {

using nlohmann::json;
using testing::HasSubstr;

class RecordingsCommand : public testing::Test {
 protected:
  /// Two layers, four experts, two of them per token.
  std::string paths(const std::string& name, int tokens) {
    std::string text = "layer,expert\n";
    for (int token = 0; token < tokens; ++token) {
      text += fmt::format("0,{}\n0,{}\n1,{}\n1,3\n", token % 4, (token + 1) % 4, token % 3);
    }
    const std::string path = (folder_.path() / name).string();
    std::ofstream(path) << text;
    return path;
  }
  std::vector<std::string> words(std::vector<std::string> given) const {
    given.insert(given.begin(), "recordings");
    given.insert(given.end(), {"--db", db_, "--quiet"});
    return given;
  }
  json run(const std::vector<std::string>& given) { return run_json(words(given)); }
  ProcessResult fails(const std::vector<std::string>& given, int code) {
    const ProcessResult result = run_haq(words(given));
    expect_failure(result, code);
    return result;
  }

  TempDir folder_;
  std::string db_ = (folder_.path() / "haq.db").string();
};

TEST_F(RecordingsCommand, ImportsShowsMergesRenamesAndDeletes) {
  const json imported = run({"import", paths("a.csv", 12), "--name", "monday", "--experts", "4"});
  const json& row = imported.at("recordings").at(0);
  expect_keys(row, {"name", "state", "tokens", "decode_tokens", "prompts", "layers", "experts",
                    "top_k", "model", "fingerprint", "source", "run", "created_ms"});
  EXPECT_EQ(row.at("name"), "monday");
  EXPECT_EQ(row.at("state"), "done");
  EXPECT_EQ(row.at("tokens"), 12);
  EXPECT_EQ(row.at("layers"), 2);
  EXPECT_EQ(row.at("top_k"), 2);
  run({"import", paths("tuesday.csv", 6)});
  EXPECT_EQ(
      run({"merge", "monday", "tuesday", "--name", "week"}).at("recordings").at(0).at("tokens"),
      18);
  run({"rename", "tuesday", "--name", "day two"});
  std::vector<std::string> names;
  const json listed = run({});
  for (const json& each : listed.at("recordings")) names.push_back(each.at("name"));
  EXPECT_THAT(names, testing::UnorderedElementsAre("monday", "day two", "week"));

  const json shown = run({"show", "week"}).at("recordings").at(0);
  std::int64_t uses = 0;
  for (const json& layer : shown.at("uses").at("decode")) {
    EXPECT_EQ(layer.size(), 4U);
    for (const json& count : layer) uses += count.get<std::int64_t>();
  }
  EXPECT_EQ(uses, 18 * 2 * 2);
  EXPECT_THAT(run_haq(words({})).out, HasSubstr("day two"));
  EXPECT_THAT(run_haq(words({"show", "week"})).out, HasSubstr("\"top_k\": 2"));

  EXPECT_EQ(run({"delete", "monday", "day two"}).at("deleted").size(), 2U);
  EXPECT_EQ(run({"list"}).at("recordings").size(), 1U);
}

TEST_F(RecordingsCommand, EveryExportThatCanBeReadBackIs) {
  run({"import", paths("a.csv", 12), "--name", "a", "--experts", "4"});
  for (const std::string form : {"sqlite", "csv", "npy", "perfetto"}) {
    const std::string file =
        (folder_.path() / ("out." + (form == "sqlite" ? "db" : form))).string();
    const json exported = run({"export", "a", "--format", form, "--out", file});
    EXPECT_EQ(exported.at("tokens"), 12) << form;
    EXPECT_EQ(exported.at("bytes"), std::filesystem::file_size(file)) << form;
    if (form == "perfetto") {
      EXPECT_TRUE(json::accept(std::ifstream(file)));
      continue;
    }
    run({"import", file, "--name", form, "--experts", "4"});
    EXPECT_EQ(run({"show", form}).at("recordings").at(0).at("uses"),
              run({"show", "a"}).at("recordings").at(0).at("uses"))
        << form;
  }
  const json part =
      run({"export", "a", "--format", "npy", "--out", (folder_.path() / "part.npy").string(),
           "--first-token", "2", "--tokens", "5"});
  EXPECT_EQ(part.at("tokens"), 5);
}

TEST_F(RecordingsCommand, OtherCommandsTakeTheName) {
  run({"import", paths("a.csv", 40), "--name", "a", "--experts", "4"});
  const auto simulate = [&](const std::string& trace) {
    json found = run_json({"simulate", "--trace", trace, "--db", db_, "--capacity", "3",
                           "--held-out-from", "10", "--policy", "lru", "--quiet"});
    for (json& result : found.at("results")) result.erase("seconds");
    return found.at("results");
  };
  const std::string file = (folder_.path() / "a.db").string();
  run({"export", "a", "--out", file});
  const json of_name = simulate("a");
  EXPECT_GT(of_name.at(0).at("accesses"), 0);
  EXPECT_EQ(of_name, simulate(file));
  EXPECT_EQ(of_name, simulate(paths("again.csv", 40)));
  expect_failure(run_haq({"simulate", "--trace", "a", "--db", db_, "--capacity", "3", "--experts",
                          "9", "--quiet"}),
                 1);
  expect_failure(
      run_haq({"simulate", "--trace", "none", "--db", db_, "--capacity", "3", "--quiet"}), 1);
}

TEST_F(RecordingsCommand, SaysWhatIsWrong) {
  fails({}, 1);  // --db names no file
  ProcessOptions fresh;
  fresh.environment["XDG_DATA_HOME"] = folder_.path().string();
  EXPECT_EQ(run_json({"recordings"}, fresh).at("recordings").size(), 0U);
  expect_failure(run_haq({"recordings", "delete", "x"}, fresh), 1);
  EXPECT_FALSE(std::filesystem::exists(folder_.path() / "haq-studio"));

  run({"import", paths("a.csv", 12), "--name", "a"});
  EXPECT_THAT(fails({"import", paths("a.csv", 3), "--name", "a"}, 1).err, HasSubstr("already"));
  EXPECT_THAT(fails({"show", "b"}, 1).err, HasSubstr("no recording \"b\""));
  fails({"show"}, 2);
  fails({"show", "a", "b"}, 2);
  fails({"list", "a"}, 2);
  fails({"merge", "a", "--name", "c"}, 2);
  fails({"merge", "a", "b"}, 2);
  fails({"merge", "a", "a", "--name", "c"}, 1);
  fails({"rename", "a"}, 2);
  fails({"export", "a"}, 2);
  fails({"export", "a", "--format", "pdf", "--out", "x"}, 2);
  fails({"import", (folder_.path() / "none.csv").string()}, 1);
  fails({"import", paths("b.csv", 3), "--name", std::string(300, 'x')}, 1);
  fails({"dance"}, 2);

  // Somebody else writes to the database: reading goes on, writing waits for nobody.
  const profile::StoreFile window =
      profile::StoreFile::open(db_, profile::Database::Access::kReadWrite);
  EXPECT_EQ(run({"list"}).at("recordings").size(), 1U);
  EXPECT_THAT(fails({"delete", "a"}, 1).err, HasSubstr("another running program"));
}

TEST_F(RecordingsCommand, AnOlderDatabaseIsBroughtUpToDate) {
  {
    profile::StoreFile::open(db_, profile::Database::Access::kReadWrite);
    profile::Database old = profile::Database::open(db_, profile::Database::Access::kReadWrite);
    old.exec(
        "DROP TABLE recordings; DROP TABLE recording_tokens; DROP TABLE recording_uses; DROP "
        "TABLE models; DROP TABLE cost_tables; DROP TABLE machines; DROP TABLE plans; PRAGMA "
        "user_version = 2");
  }
  EXPECT_EQ(run({"list"}).at("recordings").size(), 0U);
}

}  // namespace
}  // namespace haq::test
