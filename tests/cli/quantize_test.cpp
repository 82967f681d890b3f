// SPDX-License-Identifier: GPL-3.0-or-later
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <map>

#include "engine/profile/chats/chat_store.h"
#include "tests/cli/json_checks.h"
#include "tests/support/paths.h"
#include "tests/support/quantized_folder.h"

namespace haq::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::HasSubstr;

fs::path demo() {
  return source_dir() / "resources/models/demo-moe";
}

/// A folder for one test: a text to calibrate on, a database, places for models.
class QuantizeCommand : public testing::Test {
 protected:
  void SetUp() override {
    std::ofstream file(path("story.txt"));
    for (int i = 0; i < 120; ++i) {
      file << "Once upon a time there was a little dog named Max. Max saw " << i
           << " birds in the big tree and wanted to play with them.\n";
    }
  }
  std::string path(const std::string& name) const { return (folder_.path() / name).string(); }
  /// `haq quantize OUT` with few tokens and what else is given.
  std::vector<std::string> command(const std::string& out, std::vector<std::string> more) const {
    std::vector<std::string> words = {"quantize",
                                      path(out),
                                      "--calib",
                                      path("story.txt"),
                                      "--db",
                                      path("haq.db"),
                                      "--calib-tokens",
                                      "1024",
                                      "--sequence-length",
                                      "128",
                                      "--threads",
                                      "2"};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  /// Every file below a folder but the report, whose times differ.
  std::map<std::string, std::string> model_files(const std::string& name) const {
    std::map<std::string, std::string> files;
    for (const auto& entry : fs::recursive_directory_iterator(path(name))) {
      const std::string file = fs::relative(entry.path(), path(name)).string();
      if (!entry.is_regular_file() || file == "quantization-report.json") continue;
      std::ifstream stream(entry.path(), std::ios::binary);
      files[file] = std::string(std::istreambuf_iterator<char>(stream), {});
    }
    return files;
  }
  json report(const std::string& name) const {
    std::ifstream file(fs::path(path(name)) / "quantization-report.json");
    json read = json::parse(file);
    for (const char* key : {"seconds", "started_utc", "peak_rss_bytes", "target"}) read.erase(key);
    for (json& module : read.at("modules")) module.erase("seconds");
    return read;
  }
  std::vector<profile::QuantizationRun> rows() const {
    return profile::ChatStore::open(path("haq.db")).quantization_runs().list();
  }

  TempDir folder_;
};

TEST_F(QuantizeCommand, WritesAModelThatRuns) {
  const json found = run_json(command(
      "out", {"--method", "rtn", "--report", path("r.json"), "--report-csv", path("r.csv")}));
  expect_keys(found, {"method", "seconds", "peak_rss_bytes", "modules", "experts", "ppl_before",
                      "ppl_after", "quality"});
  EXPECT_EQ(found.at("method"), "rtn");
  EXPECT_EQ(found.at("modules").size(), 6U * (4 + 16 * 3));
  expect_keys(found.at("modules").at(0), {"name", "smoothing", "alpha", "error_rtn", "error_smooth",
                                          "error_final", "snr_db", "seconds"});
  EXPECT_EQ(found.at("experts").size(), 6U * 16);
  expect_keys(found.at("experts").at(0), {"layer", "expert", "tokens"});
  EXPECT_NEAR(found.at("ppl_after").get<double>() / found.at("ppl_before").get<double>(), 1, 0.05);
  std::ifstream json_file(path("r.json")), csv_file(path("r.csv"));
  EXPECT_EQ(json::parse(json_file).at("modules").size(), found.at("modules").size());
  const std::string csv((std::istreambuf_iterator<char>(csv_file)), {});
  EXPECT_EQ(static_cast<std::size_t>(std::count(csv.begin(), csv.end(), '\n')),
            found.at("modules").size() + 1);

  const json info = run_json({"info", path("out")});
  EXPECT_EQ(info.at("precision"), "w8a8");
  EXPECT_EQ(info.at("base_fingerprint"), run_json({"info"}).at("fingerprint"));
  const json answer = run_json({"generate", path("out"), "--prompt", "Once", "--max-tokens", "4"});
  EXPECT_EQ(answer.at("generated_tokens"), 4);
  const json compared = run_json({"eval", path("out"), "--base", demo().string(), "--text",
                                  path("story.txt"), "--context", "128", "--max-tokens", "512"});
  expect_keys(compared, {"perplexity", "ci95", "kld_mean", "top1_agreement", "ppl_ratio"});
  EXPECT_GT(compared.at("kld_mean"), 0);
  EXPECT_LT(compared.at("kld_mean"), 0.05);

  const auto runs = rows();
  ASSERT_EQ(runs.size(), 1U);
  EXPECT_EQ(runs[0].state, "done");
  EXPECT_EQ(runs[0].method, "rtn");
  EXPECT_EQ(runs[0].target, path("out"));
  EXPECT_EQ(runs[0].source, demo().string());
  EXPECT_TRUE(runs[0].ppl_after.has_value());
  EXPECT_EQ(json::parse(runs[0].options_json).at("tokens"), 1024);
}

TEST_F(QuantizeCommand, PlainOutputShowsLayersAndTables) {
  const ProcessResult result = run_haq(command("out", {"--method", "rtn"}));
  EXPECT_EQ(result.code, 0) << result.err;
  for (const char* part : {"layer   1 of 6", "layer   6 of 6", "perplexity", "divergence",
                           "worst modules", "MiB before"}) {
    EXPECT_THAT(result.out, HasSubstr(part));
  }
}

TEST_F(QuantizeCommand, AKilledRunGoesOnWithTheSameBytes) {
  const std::vector<std::string> how = {"--rotate", "on", "--rotation-seeds", "1", "--no-eval"};
  ASSERT_EQ(run_haq(command("whole", how)).code, 0);
  ProcessOptions kill;
  kill.signal = SIGKILL;
  kill.interrupt = [](const std::string& out, const std::string&) {
    return out.find("layer   1 of 6") != std::string::npos;
  };
  EXPECT_EQ(run_haq(command("killed", how), kill).code, 128 + SIGKILL);
  EXPECT_FALSE(fs::exists(path("killed") + "/config.json"));
  expect_failure(run_haq(command("killed", how)), 1);  // neither --resume nor --restart
  std::vector<std::string> resume = how;
  resume.emplace_back("--resume");
  const ProcessResult resumed = run_haq(command("killed", resume));
  EXPECT_EQ(resumed.code, 0) << resumed.err;
  EXPECT_THAT(resumed.out, HasSubstr("finished before"));
  const auto whole = model_files("whole"), killed = model_files("killed");
  ASSERT_EQ(whole.size(), killed.size());
  for (const auto& [name, bytes] : whole) {
    if (name == "README.md") continue;  // tells times
    EXPECT_TRUE(killed.contains(name) && killed.at(name) == bytes) << name;
  }
  EXPECT_EQ(report("whole"), report("killed"));
}

TEST_F(QuantizeCommand, CtrlCKeepsWhatIsFinished) {
  ProcessOptions stop;
  stop.interrupt = [](const std::string& out, const std::string&) {
    return out.find("layer   1 of 6") != std::string::npos;
  };
  const auto words = command("out", {"--rotate", "off"});
  const ProcessResult result = run_haq(words, stop);
  EXPECT_EQ(result.code, 130);
  EXPECT_THAT(result.err, HasSubstr("--resume"));
  ASSERT_EQ(rows().size(), 1U);
  EXPECT_EQ(rows()[0].state, "stopped");
  auto again = words;
  again.insert(again.end(), {"--restart", "--no-eval"});
  EXPECT_EQ(run_haq(again).code, 0);
}

TEST_F(QuantizeCommand, ASourceThatIsCutShortEndsTheRunInOneLine) {
  fs::copy(demo(), path("source"));
  ProcessOptions cut;
  cut.interrupt = [&](const std::string& out, const std::string&) {
    if (out.find("layer   2 of 6") != std::string::npos) {
      fs::resize_file(path("source") + "/model.safetensors", 4096);
    }
    return false;
  };
  const ProcessResult result =
      run_haq({"quantize", path("source"), path("out"), "--calib", path("story.txt"), "--db",
               path("haq.db"), "--calib-tokens", "1024", "--rotate", "off", "--quiet"},
              cut);
  EXPECT_EQ(result.code, 1) << result.err;
  EXPECT_THAT(result.err, testing::StartsWith("haq: "));
  EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  EXPECT_FALSE(fs::exists(path("out") + "/config.json"));
}

TEST_F(QuantizeCommand, DryRunTellsTheNeeds) {
  const json found = run_json(command("out", {"--dry-run"}));
  EXPECT_GT(found.at("preflight").at("disk").at("weights"), 17000000);
  EXPECT_GT(found.at("preflight").at("memory").at("total"), 0);
  EXPECT_FALSE(fs::exists(path("out")));
  EXPECT_FALSE(fs::exists(path("haq.db")));
}

TEST_F(QuantizeCommand, WordsThatNameFilesAreCalibrationText) {
  fs::copy_file(path("story.txt"), path("more.txt"));
  std::ofstream(path("more.txt"), std::ios::app) << "And that was the end of the day.\n";
  const json found =
      run_json({"quantize", "--calib", path("story.txt"), path("more.txt"), demo().string(),
                path("out"), "--method", "rtn", "--calib-tokens", "512", "--sequence-length", "128",
                "--no-eval", "--db", path("haq.db")});
  EXPECT_EQ(found.at("calibration").at("files").size(), 2U);
  EXPECT_EQ(found.at("source"), demo().string());
}

TEST_F(QuantizeCommand, TheDemoModelHasASampleText) {
  const json found = run_json({"quantize", path("out"), "--method", "rtn", "--no-eval", "--db",
                               path("haq.db"), "--sequence-length", "128"});
  EXPECT_GT(found.at("calibration").at("tokens"), 500);
  EXPECT_THAT(found.at("notices").dump(), HasSubstr("wanted"));
}

TEST_F(QuantizeCommand, WrongUsageExitsWithTwo) {
  const std::vector<std::vector<std::string>> wrong = {
      {"quantize"},
      {"quantize", golden_dir().string() + "/models/mixtral", path("out")},  // no --calib
      {"quantize", path("a"), path("b"), path("c"), "--calib", path("story.txt")},
      command("out", {"--method", "awq"}),
      command("out", {"--rotate", "maybe"}),
      command("out", {"--resume", "--restart"}),
      command("out", {"--no-eval", "--ablate"}),
      command("out", {"--no-eval", "--eval", path("story.txt")}),
      command("out", {"--eval-tokens", "100"}),
      command("out", {"--method", "rtn", "--rotate", "on"}),
      command("out", {"--sequence-length", "1"}),
  };
  for (const auto& words : wrong) {
    std::string line;
    for (const std::string& word : words) line += word + " ";
    SCOPED_TRACE(line);
    expect_failure(run_haq(words), 2);
  }
  EXPECT_FALSE(fs::exists(path("out")));
}

TEST_F(QuantizeCommand, WhatCannotBeDoneExitsWithOne) {
  std::ofstream(path("empty.txt")) << " \n";
  std::ofstream(path("latin1.txt")) << "caf\xe9\n";
  std::ofstream(path("short.txt")) << "Hello.";
  const auto expect = [&](const std::vector<std::string>& words, const std::string& part) {
    auto all = words;
    all.insert(all.end(), {"--db", path("haq.db")});
    const ProcessResult result = run_haq(all);
    expect_failure(result, 1);
    EXPECT_THAT(result.err, HasSubstr(part));
  };
  const std::string out = path("out");
  expect({"quantize", out, "--calib", path("empty.txt")}, "empty.txt");
  expect({"quantize", out, "--calib", path("latin1.txt")}, "line 1");
  expect({"quantize", out, "--calib", path("short.txt")}, "short.txt");
  expect({"quantize", out, "--calib", path("nowhere.txt")}, "nowhere.txt");
  expect({"quantize", path("no-model"), out, "--calib", path("story.txt")}, "no-model");
  expect({"quantize", out, "--calib", path("story.txt"), "--eval", path("nowhere.txt")},
         "nowhere.txt");
  expect({"quantize", out, "--calib", path("story.txt"), "--report", path("none/r.json")}, "none");
  write_quantized_folder(demo(), path("w8a8"));
  expect({"quantize", path("w8a8"), out, "--calib", path("story.txt")}, "already quantized");
  EXPECT_FALSE(fs::exists(out));
  for (const auto& run : rows()) EXPECT_EQ(run.state, "failed");
}

TEST_F(QuantizeCommand, ARunWithoutItsRowGoesOn) {
  const profile::ChatStore held = profile::ChatStore::open(path("haq.db"));
  const ProcessResult result = run_haq(command("out", {"--method", "rtn", "--no-eval"}));
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("not listed in the database"));
}

}  // namespace
}  // namespace haq::test
