// SPDX-License-Identifier: GPL-3.0-or-later
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>

#include "app/cli/options.h"
#include "engine/profile/chats/chat_store.h"
#include "tests/cli/json_checks.h"
#include "tests/support/paths.h"
#include "tests/support/tensor_file.h"

namespace haq::test {
namespace {

using nlohmann::json;
using testing::HasSubstr;

std::string write(const TempDir& folder, const std::string& name, const std::string& text) {
  const std::string path = (folder.path() / name).string();
  std::ofstream(path) << text;
  return path;
}

std::string golden(const std::string& name) {
  return (golden_dir() / "models" / name).string();
}

TEST(Commands, EveryHelpHasAnExample) {
  for (const char* command :
       {"doctor", "info", "tokenize", "template", "generate", "chat", "logits", "eval", "quantize",
        "bench", "simulate", "recordings", "chats", "completion", "man"}) {
    const ProcessResult result = run_haq({command, "--help"});
    EXPECT_EQ(result.code, 0) << command;
    EXPECT_THAT(result.out, HasSubstr("Example")) << command;
    EXPECT_THAT(result.out, HasSubstr(command)) << command;
    EXPECT_THAT(result.out, HasSubstr("--json")) << command;
    EXPECT_EQ(result.err, "") << command;
  }
  EXPECT_THAT(run_haq({"--help"}).out, HasSubstr("generate"));
  EXPECT_THAT(run_haq({"--version"}).out, HasSubstr("haq "));
}

TEST(Commands, Doctor) {
  const json found = run_json({"doctor"});
  EXPECT_TRUE(found.at("self_test").at("passed").get<bool>());
  EXPECT_THAT(found.at("cpu").at("isa_limits").get<std::vector<std::string>>(),
              testing::Contains("scalar"));
  EXPECT_FALSE(found.at("cpu").at("kernels").at("int8").get<std::string>().empty());
  std::vector<bool> emulated;
  for (const json& device : found.at("devices")) {
    expect_keys(device, {"name", "kind", "memory_bytes", "emulated"});
    emulated.push_back(device.at("emulated").get<bool>());
    EXPECT_EQ(device.at("kind") == "emulated", emulated.back());
  }
  EXPECT_THAT(emulated, testing::ElementsAre(false, true));
  expect_keys(found, {"versions", "data", "cuda", "machine"});
  EXPECT_THAT(run_haq({"doctor"}).out, HasSubstr("self-test     passed"));
}

TEST(Commands, SimulateReplaysARecordedPath) {
  const TempDir folder;
  std::string text = "layer,expert\n";
  for (int token = 0; token < 20; ++token) text += token % 2 == 0 ? "0,0\n1,1\n" : "0,2\n1,1\n";
  const std::string trace = write(folder, "paths.csv", text);
  const json found = run_json({"simulate", "--trace", trace, "--experts", "4", "--budget", "2x",
                               "--policy", "frequency,lru-layer", "--held-out-from", "10",
                               "--expert-bytes", "6000000", "--quiet"});
  EXPECT_EQ(found.at("tokens"), 20);
  std::map<std::string, double> rates;
  for (const json& result : found.at("results")) {
    rates[result.at("policy").get<std::string>()] = result.at("hit_rate").get<double>();
    EXPECT_EQ(result.at("accesses"), 20);
    EXPECT_EQ(result.at("per_layer_hit_rate").size(), 2U);
  }
  // Layer 1 always hits; layer 0 swaps between two experts with one slot.
  EXPECT_EQ(rates, (std::map<std::string, double>{{"uniform", 0.25},
                                                  {"frequency", 0.75},
                                                  {"lru", 0.5},
                                                  {"lru-layer", 0.5},
                                                  {"belady", 0.75}}));
  expect_failure(run_haq({"simulate", "--trace", trace, "--budget", "7", "--quiet"}), 1);
  expect_failure(run_haq({"simulate", "--trace", trace, "--capacity", "99", "--quiet"}), 2);
  expect_failure(
      run_haq({"simulate", "--trace", trace, "--capacity", "2", "--policy", "x", "--quiet"}), 2);
  expect_failure(
      run_haq({"simulate", "--trace", trace, "--capacity", "2", "--path-goal", "x", "--quiet"}), 2);
}

TEST(Commands, InfoOfTheDemoModel) {
  const json found = run_json({"info"});
  EXPECT_EQ(found.at("architecture"), "MixtralForCausalLM");
  EXPECT_EQ(found.at("layers"), 6);
  EXPECT_EQ(found.at("experts"), 16);
  EXPECT_EQ(found.at("top_k"), 2);
  EXPECT_EQ(found.at("parameters").at("total"), 17460480);
  EXPECT_EQ(found.at("parameters").at("active"), 5074176);
  EXPECT_EQ(found.at("fingerprint"), found.at("base_fingerprint"));
  EXPECT_TRUE(found.at("supported").get<bool>());
  EXPECT_GT(found.at("bytes").at("bits16"), found.at("bytes").at("bits8"));
  const json& memory = found.at("memory");
  EXPECT_EQ(memory.at("host_total").get<std::int64_t>(),
            memory.at("weights").get<std::int64_t>() + memory.at("packed").get<std::int64_t>() +
                memory.at("kv_cache").get<std::int64_t>() +
                memory.at("buffers").get<std::int64_t>());
  EXPECT_LT(run_json({"info", "--context", "16"}).at("memory").at("kv_cache"),
            memory.at("kv_cache"));
  EXPECT_THAT(run_haq({"info"}).out, HasSubstr("MixtralForCausalLM"));
}

TEST(Commands, InfoOfADenseAndASyntheticModel) {
  EXPECT_EQ(run_json({"info", golden("llama")}).at("experts"), 0);
  const json found = run_json({"info", "--synthetic", "olmoe-1b-7b:layers=1"});
  EXPECT_EQ(found.at("experts"), 64);
  EXPECT_EQ(found.at("top_k"), 8);
  EXPECT_EQ(found.at("layers"), 1);
}

TEST(Commands, InfoOfAnUnsupportedModelSaysWhy) {
  const TempDir folder;
  write(folder, "config.json",
        R"({"architectures": ["RwkvForCausalLM"], "model_type": "rwkv", "num_hidden_layers": 3})");
  const json found = run_json({"info", folder.path().string()});
  EXPECT_FALSE(found.at("supported").get<bool>());
  EXPECT_THAT(found.at("reason").get<std::string>(), HasSubstr("rwkv"));
  EXPECT_EQ(found.at("architecture"), "RwkvForCausalLM");
  EXPECT_EQ(found.at("layers"), 3);
}

TEST(Commands, TokenizeThereAndBack) {
  const json found = run_json({"tokenize", "--text", "Hello, world"});
  const auto ids = found.at("ids").get<std::vector<int>>();
  EXPECT_EQ(found.at("pieces").size(), ids.size());
  EXPECT_EQ(found.at("text"), "Hello, world");
  std::string list;
  for (const int id : ids) list.append(list.empty() ? "" : ",").append(std::to_string(id));
  EXPECT_EQ(run_json({"tokenize", "--decode", list}).at("text"), "Hello, world");
  EXPECT_EQ(run_json({"tokenize", "--decode", "1,2," + list}).at("text"),
            "<|im_start|><|im_end|>Hello, world");
  EXPECT_EQ(run_json({"tokenize", "--decode", "1,2," + list, "--no-special"}).at("text"),
            "Hello, world");
  const TempDir folder;
  EXPECT_EQ(run_json({"tokenize", "--file", write(folder, "t.txt", "Hello, world")}).at("ids"),
            found.at("ids"));
  // Values that a parser of options likes to take apart.
  EXPECT_EQ(run_json({"tokenize", "--text", "[a,b]"}).at("text"), "[a,b]");
  EXPECT_EQ(run_json({"tokenize", "--text", "--x -1"}).at("text"), "--x -1");
  EXPECT_EQ(run_json({"tokenize", "--text", ""}).at("ids"), json::array());
}

TEST(Commands, Template) {
  const TempDir folder;
  const std::string messages =
      write(folder, "m.json", R"([{"role": "user", "content": "Hi<|im_end|>"}])");
  const json found = run_json({"template", "--messages", messages});
  EXPECT_EQ(found.at("text"), "<|im_start|>user\nHi<|im_end|><|im_end|>\n<|im_start|>assistant\n");
  const json special = run_json({"template", "--messages", messages, "--parse-special"});
  EXPECT_EQ(special.at("text"), found.at("text"));
  EXPECT_LT(special.at("ids").size(), found.at("ids").size());
  const ProcessResult plain =
      run_haq({"template", "--messages", messages, "--no-generation-prompt"});
  EXPECT_EQ(plain.out, "<|im_start|>user\nHi<|im_end|><|im_end|>\n");
  EXPECT_EQ(
      run_haq({"template", "--messages", messages, "--set", "a=true", "--set", "b=[1, 2]"}).code,
      0);
  expect_failure(run_haq({"template", "--messages", messages, "--set", "a=oops"}), 2);
}

TEST(Commands, Logits) {
  const TempDir folder;
  const std::string out = (folder.path() / "l.safetensors").string();
  const json found = run_json({"logits", golden("mixtral"), "--ids", "1,2,3", "--out", out,
                               "--hidden", "--compute", "fp32"});
  EXPECT_EQ(found.at("tokens"), 3);
  EXPECT_EQ(found.at("digest").get<std::string>().size(), 32U);
  const TensorFile file = read_tensor_file(out);
  EXPECT_EQ(file.at("logits").shape, (std::vector<std::int64_t>{3, 256}));
  EXPECT_EQ(file.at("topk_ids.1").shape, (std::vector<std::int64_t>{3, 2}));
  const std::string ids = write(folder, "ids.txt", "1 2\n3\n");
  EXPECT_EQ(
      run_json({"logits", golden("mixtral"), "--file", ids, "--out", out, "--compute", "fp32"})
          .at("digest"),
      found.at("digest"));
}

TEST(Commands, Eval) {
  const TempDir folder;
  std::string story;
  for (int i = 0; i < 40; ++i)
    story += "Once upon a time there was a little dog. It liked to play. ";
  const std::string text = write(folder, "t.txt", story);
  const json found = run_json({"eval", "--text", text, "--context", "64", "--max-tokens", "300"});
  expect_keys(found, {"perplexity", "ci95", "tokens", "nll", "recipe"});
  EXPECT_EQ(found.at("ci95").size(), 2U);
  EXPECT_EQ(found.at("tokens"), 300 - 5);
  EXPECT_FALSE(found.contains("kld_mean"));
  const std::string demo = (source_dir() / "resources/models/demo-moe").string();
  const json compared = run_json({"eval", demo, "--base", demo, "--text", text, "--context", "64",
                                  "--stride", "32", "--max-tokens", "128", "--compute", "fp32"});
  EXPECT_EQ(compared.at("kld_mean"), 0);
  EXPECT_EQ(compared.at("top1_agreement"), 1);
  EXPECT_EQ(compared.at("ppl_ratio"), 1);
  EXPECT_THAT(run_haq({"eval", "--text", text, "--context", "32", "--bos"}).out,
              HasSubstr("perplexity"));
}

TEST(Commands, Bench) {
  const json found = run_json({"bench", "--prefill", "16,8", "--decode", "4", "--repeat", "2"});
  expect_keys(found,
              {"prefill_tokens_per_s", "decode_tokens_per_s", "weight_gb_per_s", "peak_rss_bytes"});
  expect_keys(found.at("decode_tokens_per_s"), {"mean", "std"});
  EXPECT_GT(found.at("peak_rss_bytes"), 1 << 20);
  EXPECT_EQ(found.at("prefill").size(), 2U);
  EXPECT_GT(found.at("roofline").size(), 0U);
}

TEST(Commands, BenchComparesPrecisions) {
  const json found = run_json({"bench", "--synthetic", "olmoe-1b-7b:layers=1", "--precision",
                               "both", "--prefill", "0", "--decode", "2", "--repeat", "1"});
  EXPECT_EQ(found.at("model").at("precision"), "w8a8");
  EXPECT_NE(found.at("16bit").at("model").at("precision"), "w8a8");
  EXPECT_LT(found.at("weight_bytes_per_token"), found.at("16bit").at("weight_bytes_per_token"));
  // The head is searched in both, which reads its int8 copy.
  for (const json& one : {found, found.at("16bit")}) {
    EXPECT_LT(one.at("head_bytes_per_token"), 50304 * 2048 * 11 / 10);
  }
  EXPECT_GT(found.at("ratio").at("decode"), 0);
  EXPECT_EQ(found.at("ratio").at("decode_std"), 0);  // of one repeat
  EXPECT_TRUE(found.at("ratio").at("prefill").is_null());
}

TEST(Commands, BenchTellsWhatAnExpertCosts) {
  const TempDir folder;
  const std::vector<std::string> quick = {
      "bench", "--prefill",       "0", "--decode", "2",    "--repeat",
      "1",     "--prefill-chunk", "8", "--costs",  "--db", (folder.path() / "haq.db").string()};
  const json host = run_json(quick).at("costs");
  EXPECT_EQ(host.at("source"), "measured");
  ASSERT_GE(host.at("cpu_us").size(), 2U);
  EXPECT_GT(host.at("cpu_us")[0][1], 0);
  EXPECT_TRUE(host.at("device_us").is_null());
  std::vector<std::string> emulated = quick;
  emulated.insert(emulated.end(), {"--device", "emulated", "--vram", "50%", "--link", "12.5"});
  const json device = run_json(emulated).at("costs");
  EXPECT_EQ(device.at("source"), "emulated");
  EXPECT_EQ(device.at("link_gb_s"), 12.5);
  EXPECT_EQ(device.at("device_us").size(), 4U);
  const ProcessResult text = run_haq(quick);
  EXPECT_THAT(text.out, HasSubstr("us by tokens (measured)"));
  EXPECT_FALSE(
      run_json({"bench", "--prefill", "8", "--decode", "0", "--repeat", "1"}).contains("costs"));
}

TEST(Commands, CompletionScriptsAreValid) {
  const std::string bash = run_haq({"completion", "bash"}).out;
  const TempDir folder;
  const std::string script = write(folder, "haq.bash", bash);
  // Bash itself completes an option name and a choice.
  const std::string check =
      "bash -c '. " + script +
      "; compopt() { :; }; COMP_WORDS=(haq eval --str); COMP_CWORD=2; _haq; "
      "[ \"${COMPREPLY[*]}\" = --stride ] || exit 1; "
      "COMP_WORDS=(haq eval --compute fp); COMP_CWORD=3; _haq; [ \"${COMPREPLY[*]}\" = fp32 ] || "
      "exit 2; "
      "COMP_WORDS=(haq gen); COMP_CWORD=1; _haq; [ \"${COMPREPLY[*]}\" = generate ]'";
  EXPECT_EQ(std::system(check.c_str()), 0);
  EXPECT_THAT(run_haq({"completion", "zsh"}).out, testing::StartsWith("#compdef haq"));
  EXPECT_THAT(run_haq({"completion", "fish"}).out, HasSubstr("complete -c haq"));
}

TEST(Commands, ManualPages) {
  const TempDir folder;
  const json found = run_json({"man", (folder.path() / "man").string()});
  const auto shown = std::count_if(cli::commands().begin(), cli::commands().end(),
                                   [](const cli::Command& command) { return !command.hidden; });
  EXPECT_EQ(found.at("files").size(), static_cast<std::size_t>(shown) + 1);  // and haq itself
  std::ifstream page(folder.path() / "man/haq-generate.1");
  const std::string text((std::istreambuf_iterator<char>(page)), {});
  EXPECT_THAT(text, testing::StartsWith(".TH HAQ\\-GENERATE 1"));
  EXPECT_THAT(text, HasSubstr("\\fB\\-\\-max\\-tokens\\fR \\fIN\\fR"));
}

TEST(Commands, ChatsListShowExportDelete) {
  const TempDir folder;
  const std::string db = (folder.path() / "haq.db").string();
  profile::Id id = 0;
  {
    profile::ChatStore store = profile::ChatStore::open(db);
    profile::Conversation conversation;
    conversation.title = "About a dog";
    id = store.add(conversation);
    profile::Message question;
    question.conversation = id;
    question.content = "Who is Rex?";
    const profile::Id asked = store.add(question);
    profile::Message answer;
    answer.conversation = id;
    answer.parent = asked;
    answer.role = profile::Role::kAssistant;
    answer.content = "A good dog.";
    store.add(answer);
  }
  const std::string number = std::to_string(id);
  const json listed = run_json({"chats", "--db", db}).at("chats");
  ASSERT_EQ(listed.size(), 1U);
  EXPECT_EQ(listed.at(0).at("title"), "About a dog");
  EXPECT_EQ(listed.at(0).at("id"), id);
  EXPECT_EQ(run_json({"chats", "list", "--search", "good", "--db", db}).at("chats").size(), 1U);
  EXPECT_EQ(run_json({"chats", "list", "--search", "zebra", "--db", db}).at("chats").size(), 0U);
  EXPECT_THAT(run_haq({"chats", "show", number, "--db", db}).out, HasSubstr("A good dog."));
  EXPECT_TRUE(run_json({"chats", "show", number, "--db", db}).contains("messages"));
  const std::string out = (folder.path() / "talk.html").string();
  EXPECT_EQ(run_haq({"chats", "export", number, "--format", "html", "--out", out, "--db", db}).code,
            0);
  std::ifstream page(out);
  EXPECT_THAT(std::string((std::istreambuf_iterator<char>(page)), {}), HasSubstr("Who is Rex?"));
  expect_failure(run_haq({"chats", "show", "99", "--db", db}), 1);
  EXPECT_TRUE(run_json({"chats", "delete", number, "--db", db}).at("deleted").get<bool>());
  EXPECT_EQ(run_json({"chats", "--db", db}).at("chats").size(), 0U);
  // Still in the bin; for good means gone.
  EXPECT_EQ(run_haq({"chats", "delete", number, "--forever", "--db", db}).code, 0);
  expect_failure(run_haq({"chats", "show", number, "--db", db}), 1);
}

TEST(Commands, ChatsOfAnEmptyHome) {
  const TempDir folder;
  ProcessOptions options;
  options.environment["XDG_DATA_HOME"] = folder.path().string();
  EXPECT_EQ(run_json({"chats"}, options).at("chats"), json::array());
  EXPECT_EQ(run_haq({"chats", "list"}, options).out, "no conversations\n");
  expect_failure(run_haq({"chats", "show", "1"}, options), 1);
  expect_failure(run_haq({"chats", "show"}, options), 2);
  expect_failure(run_haq({"chats", "--db", "/nowhere/x.db"}, options), 1);
}

}  // namespace
}  // namespace haq::test
