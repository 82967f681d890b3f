// SPDX-License-Identifier: GPL-3.0-or-later
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "tests/cli/json_checks.h"
#include "tests/support/paths.h"

namespace haq::test {
namespace {

using testing::HasSubstr;

TEST(WrongUsage, ExitsWithTwoAndOneLine) {
  const std::vector<std::vector<std::string>> wrong = {
      {},
      {"nonsense"},
      {"generate"},
      {"generate", "--prompt", "a", "--ids", "1"},
      {"generate", "--prompt", "a", "--max-tokens", "0"},
      {"generate", "--prompt", "a", "--max-tokens", "many"},
      {"generate", "--prompt", "a", "--temperature", "-1"},
      {"generate", "--prompt", "a", "--temperature", "nan"},
      {"generate", "--prompt", "a", "--top-p", "1.5"},
      {"generate", "--prompt", "a", "--compute", "fp8"},
      {"generate", "--prompt", "a", "--prefill-chunk", "0"},
      {"generate", "--prompt", "a", "--prompt", "b"},
      {"generate", "--prompt", "a", "--no-such-option"},
      {"generate", "--prompt", "a", "--system", "s"},
      {"generate", "--prompt", "a", "--stop", ""},
      {"generate", "--prompt"},
      {"generate", "--prompt", "\xff\xfe"},
      {"generate", "--ids", "1,,2"},
      {"generate", "--ids", "1,x"},
      {"generate", "--ids", "-1"},
      {"generate", "--ids", "4294967296"},
      {"generate", "--ids", ""},
      {"tokenize"},
      {"tokenize", "--decode", "1,"},
      {"template"},
      {"logits", "--ids", "1"},
      {"eval"},
      {"bench", "--prefill", "x"},
      {"bench", "--precision", "w8a8"},
      {"completion", "tcsh"},
      {"chats", "burn"},
      {"info", "a", "b"},
      {"doctor", "--log-level", "loud"},
  };
  for (const std::vector<std::string>& arguments : wrong) {
    std::string line;
    for (const std::string& argument : arguments) line += argument + " ";
    SCOPED_TRACE(line);
    expect_failure(run_haq(arguments), 2);
  }
}

TEST(WrongUsage, AnInstructionSetThatCannotRunExitsWithTwo) {
  ProcessOptions options;
  options.environment["HAQ_MAX_ISA"] = "mmx";
  expect_failure(run_haq({"doctor"}, options), 2);
  expect_failure(run_haq({"generate", "--prompt", "a"}, options), 2);
}

TEST(InstructionSets, EveryOneThisCpuCanRunGivesTheSameFp32Digest) {
  const auto limits =
      run_json({"doctor"}).at("cpu").at("isa_limits").get<std::vector<std::string>>();
  std::string digest;
  for (const std::string& limit : limits) {
    ProcessOptions options;
    options.environment["HAQ_MAX_ISA"] = limit;
    const nlohmann::json found = run_json(
        {"generate", "--prompt", "Once", "--max-tokens", "3", "--compute", "fp32"}, options);
    if (digest.empty()) digest = found.at("digest");
    EXPECT_EQ(found.at("digest"), digest) << limit;
  }
}

TEST(Failures, ExitWithOneAndOneLine) {
  const TempDir folder;
  const std::string empty = folder.path().string();
  expect_failure(run_haq({"generate", "/nowhere/at/all", "--prompt", "a"}), 1);
  expect_failure(run_haq({"info", empty}), 1);
  std::ofstream(folder.path() / "config.json") << "{\"architectures\": [";
  expect_failure(run_haq({"generate", empty, "--ids", "1"}), 1);
  expect_failure(run_haq({"generate", "--ids", "4096"}), 1);
  expect_failure(run_haq({"eval", "--text", "/nowhere.txt"}), 1);
  expect_failure(run_haq({"tokenize", "--decode", "99999"}), 1);
  expect_failure(run_haq({"bench", "--synthetic", "gpt-9"}), 1);
  expect_failure(run_haq({"logits", "--ids", "1", "--out", "/nowhere/x.safetensors"}), 1);
  const std::string no_template = (golden_dir() / "models/mixtral").string();
  expect_failure(run_haq({"chat", no_template}), 1);
  expect_failure(run_haq({"generate", no_template, "--prompt", "a"}), 1);
  std::ofstream(folder.path() / "latin1.txt") << "caf\xe9";
  expect_failure(run_haq({"eval", "--text", (folder.path() / "latin1.txt").string()}), 1);
}

TEST(Failures, AFullDiskIsReported) {
  const ProcessResult result = run_haq({"doctor", "--json"});
  EXPECT_EQ(result.code, 0);
  const std::string command = std::string(HAQ_BINARY) + " doctor --json > /dev/full 2> /dev/null";
  const int status = std::system(command.c_str());
  EXPECT_EQ(status >> 8, 1);
}

}  // namespace
}  // namespace haq::test
