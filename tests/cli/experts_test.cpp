// SPDX-License-Identifier: GPL-3.0-or-later
// Where experts run never changes what a model says: the command line's options about devices,
// budgets, policies and plans against the plain run on the CPU.
#include <gmock/gmock.h>

#include <fstream>

#include "engine/experts/placement/plan.h"
#include "engine/profile/store/store_file.h"
#include "tests/cli/json_checks.h"
#include "tests/cli/quantized_demo.h"

namespace haq::test {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using Words = std::vector<std::string>;

constexpr experts::ExpertShape kShape{6, 16, 2};

Words operator+(Words a, const Words& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

class Experts : public QuantizedDemoTest {
 protected:
  static Words generate(const Words& more) {
    return Words{
               "generate",     model_folder(), "--prompt", "One day, a girl named Lily found a dog",
               "--max-tokens", "20",           "--db",     beside("experts.db")} +
           more;
  }
  static Words emulated(const Words& more) {
    return generate(Words{"--device", "emulated"} + more);
  }

  /// A plan of the first `count` experts of the layers in turn.
  static std::string plan_file(const std::string& name, int count,
                               experts::ExpertShape shape = kShape,
                               const std::string& fingerprint = "") {
    experts::Plan plan;
    plan.fingerprint = fingerprint;
    plan.architecture = "MixtralForCausalLM";
    plan.shape = shape;
    plan.budget_experts = count;
    plan.strategy = "uniform";
    plan.sources = {"by hand"};
    plan.scores = json::object();
    for (int i = 0; i < count; ++i) {
      plan.pinned.push_back({i % shape.layers, i / shape.layers, 1});
    }
    experts::write_plan(plan, beside(name));
    return beside(name);
  }
};

TEST_F(Experts, NothingChangesABit) {
  const json expected = run_json(generate({"--device", "cpu", "--threads", "1"}));
  const std::string plan = plan_file("identity.json", 24);
  const std::vector<Words> runs = {
      {"--vram", "0", "--threads", "2"},
      {"--vram", "1x", "--policy", "lru", "--prefill-chunk", "7", "--threads", "1"},
      {"--vram", "25%", "--policy", "none", "--miss", "upload", "--threads", "2"},
      {"--vram", "25%", "--policy", "lru", "--prefill-chunk", "1", "--threads", "2"},
      {"--vram", "25%", "--policy", "lru-layer", "--miss", "cpu", "--threads", "1"},
      {"--vram", "25%", "--policy", "ema", "--miss", "upload", "--threads", "2"},
      {"--vram", "25%", "--policy", "path", "--path-goal", "hits", "--threads", "1"},
      {"--vram", "25%", "--policy", "path", "--prefill-chunk", "7", "--threads", "2"},
      {"--vram", "25%", "--policy", "auto", "--threads", "2"},
      {"--plan", plan, "--policy", "static", "--threads", "2"},
      {"--plan", plan, "--policy", "plan+lru", "--vram", "32x", "--prefill-chunk", "7"},
      {"--plan", plan, "--policy", "plan+ema", "--vram", "12x", "--prefill-chunk", "1"},
      {"--plan", plan, "--policy", "plan+path", "--vram", "25%", "--miss", "upload"},
      {"--plan", plan, "--link", "0.5", "--emulate-gpu-tflops", "0.1", "--threads", "1"},
      {"--vram", "all", "--policy", "lru", "--link", "100", "--threads", "2"},
  };
  for (const Words& options : runs) {
    std::string line;
    for (const std::string& word : options) line += word + " ";
    SCOPED_TRACE(line);
    const json found = run_json(emulated(options));
    EXPECT_EQ(found.at("digest"), expected.at("digest"));
    EXPECT_EQ(found.at("ids"), expected.at("ids"));
    const json& told = found.at("experts");
    EXPECT_EQ(told.at("device"), "emulated");
    EXPECT_TRUE(told.at("emulated").get<bool>());
    const auto count = [&](const char* key) { return told.at(key).get<std::int64_t>(); };
    EXPECT_EQ(count("cpu_tokens") + count("gpu_tokens"),
              expected.at("experts").at("cpu_tokens").get<std::int64_t>());
    EXPECT_LE(count("hits"), count("accesses"));
    if (count("capacity") == 0) {
      EXPECT_EQ(count("hits"), 0);
    }
  }
}

TEST_F(Experts, TheJsonHasEveryKey) {
  const json found = run_json(emulated({"--vram", "25%", "--policy", "lru"})).at("experts");
  expect_keys(found, {"device", "emulated", "policy", "capacity", "accesses", "hits", "hit_rate",
                      "per_layer_hit_rate", "evictions", "uploads", "bytes_uploaded", "cpu_tokens",
                      "gpu_tokens", "decisions", "regret_us_mean", "modelled_ms_per_token",
                      "dropped_events", "telemetry_overhead"});
  EXPECT_EQ(found.at("policy"), "lru");
  EXPECT_EQ(found.at("capacity"), 24);
  EXPECT_EQ(found.at("per_layer_hit_rate").size(), 6U);
  EXPECT_GT(found.at("hits"), 0);
  EXPECT_GT(found.at("uploads"), 24);
  EXPECT_EQ(found.at("evictions").get<int>(), found.at("uploads").get<int>() - 24);
  EXPECT_GE(found.at("bytes_uploaded").get<double>(),
            found.at("uploads").get<double>() * found.at("slot_bytes").get<double>());
  EXPECT_NEAR(found.at("hit_rate").get<double>(),
              found.at("hits").get<double>() / found.at("accesses").get<double>(), 1e-12);
  EXPECT_GT(found.at("modelled_ms_per_token").at("mean"), 0);
  EXPECT_GT(found.at("modelled_ms_per_token").at("std"), 0);
  const json plain = run_json(generate({})).at("experts");
  EXPECT_EQ(plain.at("device"), "cpu");
  EXPECT_EQ(plain.at("policy"), "none");
  EXPECT_EQ(plain.at("capacity"), 0);
  EXPECT_EQ(plain.at("uploads"), 0);
  EXPECT_TRUE(plain.at("modelled_ms_per_token").at("mean").is_null());
}

TEST_F(Experts, EverythingResidentIsUploadedOnce) {
  const json found = run_json(emulated({"--vram", "all", "--policy", "lru"})).at("experts");
  EXPECT_EQ(found.at("capacity"), kShape.total());
  EXPECT_EQ(found.at("evictions"), 0);
  EXPECT_LE(found.at("uploads"), kShape.total());
  EXPECT_EQ(found.at("hits").get<int>(),
            found.at("accesses").get<int>() - found.at("uploads").get<int>());
}

TEST_F(Experts, APlanIsThereFromTheFirstTokenOn) {
  const std::string plan = plan_file("all.json", kShape.total());
  const json found = run_json(emulated({"--plan", plan, "--policy", "static"})).at("experts");
  EXPECT_EQ(found.at("capacity"), kShape.total());
  EXPECT_EQ(found.at("hits"), found.at("accesses"));
  EXPECT_EQ(found.at("uploads"), 0);
  EXPECT_EQ(found.at("cpu_tokens"), 0);
}

TEST_F(Experts, CardsAndLinksHaveNames) {
  const json card = run_json(emulated({"--vram", "25%", "--card", "rtx-3060"})).at("experts");
  EXPECT_THAT(card.at("device_name").get<std::string>(), HasSubstr("3060"));
  EXPECT_THAT(card.at("device_name").get<std::string>(), HasSubstr("emulated"));
  EXPECT_EQ(card.at("link_gb_s"), 25);
  const Words half = {"--vram", "25%", "--card", "rtx-3060", "--link", "pcie4x8"};
  EXPECT_EQ(run_json(emulated(half)).at("experts").at("link_gb_s"), 12.5);
}

TEST_F(Experts, SixteenBitSlotsAreTwiceAsLargeAndSaidNotToBeBitIdentical) {
  const Words all = {"--vram", "all", "--policy", "lru", "--miss", "upload"};
  const json int8 = run_json(emulated(all)).at("experts");
  const json wide = run_json(emulated(all + Words{"--slot-type", "16bit"})).at("experts");
  EXPECT_TRUE(int8.at("bit_identical").get<bool>());
  EXPECT_FALSE(wide.at("bit_identical").get<bool>());
  EXPECT_GT(wide.at("slot_bytes").get<double>(), 1.8 * int8.at("slot_bytes").get<double>());
  const ProcessResult run = run_haq(emulated({"--slot-type", "16bit"}));
  EXPECT_THAT(run.err, HasSubstr("not bit-identical"));
}

TEST_F(Experts, TextAndRemarksStayApart) {
  const Words options = {"--vram", "1x", "--policy", "lru"};
  const ProcessResult plain = run_haq(generate({}));
  const ProcessResult device = run_haq(emulated(options));
  EXPECT_EQ(device.code, 0);
  EXPECT_EQ(device.out, plain.out);
  EXPECT_THAT(device.err, HasSubstr("1 of 96 resident"));
  EXPECT_THAT(device.err, HasSubstr("(emulated)"));
  EXPECT_THAT(device.err, HasSubstr("fewer than the 2"));
  EXPECT_EQ(run_haq(emulated(options + Words{"--quiet"})).err, "");
}

TEST_F(Experts, EvalGivesTheSamePerplexity) {
  const std::string text = beside("text.txt");
  std::ofstream(text)
      << "Once upon a time there was a little girl named Lily. She had a red ball.\n"
         "One day the ball rolled into the river, and a dog brought it back.\n";
  const Words eval = {"eval", model_folder(), "--text", text, "--db", beside("experts.db")};
  const json plain = run_json(eval);
  const json device =
      run_json(eval + Words{"--device", "emulated", "--vram", "25%", "--policy", "ema"});
  EXPECT_EQ(device.at("nll"), plain.at("nll"));
  EXPECT_EQ(device.at("perplexity"), plain.at("perplexity"));
  EXPECT_EQ(plain.at("experts").at("device"), "cpu");
  EXPECT_GT(device.at("experts").at("accesses"), 0);
}

TEST_F(Experts, ChatTellsOfHits) {
  ProcessOptions options;
  options.input = "Hello\n/stats\n/quit\n";
  const Words chat = {"chat",         model_folder(), "--temperature", "0",
                      "--max-tokens", "12",           "--db",          beside("experts.db")};
  const ProcessResult plain = run_haq(chat, options);
  const ProcessResult device =
      run_haq(chat + Words{"--device", "emulated", "--vram", "50%", "--policy", "lru"}, options);
  EXPECT_EQ(device.code, 0) << device.err;
  EXPECT_THAT(device.out, HasSubstr("48 of 96 resident"));
  EXPECT_THAT(device.out, HasSubstr("found there"));
  const std::string answer = plain.out.substr(0, plain.out.find("1 answers"));
  EXPECT_EQ(device.out.substr(0, answer.size()), answer);
}

TEST_F(Experts, BenchOfASyntheticShape) {
  const json found = run_json({"bench", "--synthetic", "olmoe-1b-7b:layers=1", "--precision",
                               "w8a8", "--device", "emulated", "--vram", "50%", "--prefill", "16",
                               "--decode", "4", "--repeat", "1", "--db", beside("bench.db")});
  EXPECT_GT(found.at("decode_tokens_per_s").at("mean"), 0);
  EXPECT_EQ(found.at("experts").at("capacity"), 32);
  EXPECT_EQ(found.at("experts").at("tokens"), 2 * (16 + 4));
  EXPECT_GT(found.at("experts").at("uploads"), 0);
}

// --- what cannot be done ---------------------------------------------------------------------

TEST_F(Experts, WrongUsageExitsWithTwo) {
  const std::vector<Words> wrong = {
      {"--device", "gpu"},
      {"--device", "emulated", "--vram", "12"},
      {"--device", "emulated", "--vram", "5GB"},
      {"--device", "emulated", "--vram", "101%"},
      {"--device", "emulated", "--policy", "fifo"},
      {"--device", "emulated", "--policy", "static"},
      {"--device", "emulated", "--policy", "plan+lru"},
      {"--device", "emulated", "--policy", "lru", "--plan", "plan.json"},
      {"--device", "emulated", "--policy", "lru", "--learn", "yesterday"},
      {"--device", "emulated", "--miss", "gpu"},
      {"--device", "emulated", "--link", "0"},
      {"--device", "emulated", "--link", "nan"},
      {"--device", "emulated", "--link", "isa"},
      {"--device", "emulated", "--emulate-gpu-tflops", "-1"},
      {"--device", "emulated", "--card", "voodoo-2"},
      {"--device", "emulated", "--record", ""},
      {"--vram", "25%"},
      {"--policy", "lru"},
      {"--plan", "plan.json"},
      {"--card", "rtx-3060"},
      {"--device", "cpu", "--link", "25"},
      {"--device", "cpu", "--slot-type", "16bit"},
  };
  for (const Words& options : wrong) {
    std::string line;
    for (const std::string& word : options) line += word + " ";
    SCOPED_TRACE(line);
    expect_failure(run_haq(generate(options)), 2);
  }
}

TEST_F(Experts, WhatThisModelOrBuildCannotDoExitsWithOne) {
  const ProcessResult cuda = run_haq(generate({"--device", "cuda"}));
  expect_failure(cuda, 1);
  EXPECT_THAT(cuda.err, HasSubstr("no CUDA module"));
  expect_failure(run_haq(emulated({"--vram", "1%"})), 1);
  expect_failure(run_haq(emulated({"--vram", "1KiB"})), 1);
  expect_failure(run_haq(emulated({"--vram", "97x"})), 1);
  expect_failure(run_haq(emulated({"--plan", beside("missing.json")})), 1);
  std::ofstream(beside("cut.json")) << R"({"schema": 1, "model": {)";
  expect_failure(run_haq(emulated({"--plan", beside("cut.json")})), 1);
  const std::string other_shape = plan_file("shape.json", 4, {4, 8, 2});
  expect_failure(run_haq(emulated({"--plan", other_shape})), 1);
  const std::string other_model = plan_file("model.json", 4, kShape, std::string(32, '0'));
  expect_failure(run_haq(emulated({"--plan", other_model})), 1);
  expect_failure(run_haq(emulated({"--policy", "path", "--learn", "nothing"})), 1);
}

TEST_F(Experts, DenseModelsRefuseByName) {
  const std::string dense = (golden_dir() / "models/llama").string();
  const Words run = {"generate", dense, "--ids", "1,2,3", "--max-tokens", "2"};
  EXPECT_FALSE(run_json(run + Words{"--device", "cpu"}).contains("experts"));
  const ProcessResult refused = run_haq(run + Words{"--device", "emulated"});
  expect_failure(refused, 1);
  EXPECT_THAT(refused.err, HasSubstr("--device emulated"));
  expect_failure(run_haq(run + Words{"--record", "r", "--db", beside("dense.db")}), 1);
}

TEST_F(Experts, AStoreThatAnotherProgramHoldsStopsNothing) {
  const std::string database = beside("held.db");
  const profile::StoreFile held =
      profile::StoreFile::open(database, profile::Database::Access::kReadWrite);
  const Words run = {"generate", model_folder(), "--ids",  "1,2,3,4", "--max-tokens", "4",
                     "--device", "emulated",     "--vram", "25%",     "--policy",     "lru",
                     "--record", "held",         "--db",   database};
  const json found = run_json(run);
  EXPECT_EQ(found.at("generated_tokens"), 4);
  EXPECT_TRUE(found.at("experts").at("recording").is_null());
  EXPECT_GT(found.at("experts").at("recording_failure").get<std::string>().size(), 10U);
  EXPECT_THAT(run_haq(run).err, HasSubstr("No recording is made"));
}

TEST_F(Experts, ARecordingOfThatNameIsThere) {
  const Words run = {"generate", model_folder(), "--ids", "1,2,3,4", "--max-tokens",
                     "4",        "--record",     "twice", "--db",    beside("twice.db")};
  const json first = run_json(run);
  EXPECT_EQ(first.at("experts").at("recording"), "twice");
  EXPECT_EQ(first.at("experts").at("dropped_events"), 0);
  const ProcessResult second = run_haq(run);
  expect_failure(second, 1);
  EXPECT_THAT(second.err, HasSubstr("\"twice\""));
}

}  // namespace
}  // namespace haq::test
