// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/model/discovery.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "engine/base/error.h"
#include "tests/support/paths.h"

namespace haq::model {
namespace {

namespace fs = std::filesystem;

void write(const fs::path& path, const std::string& text) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

/// Copies a reference model as links, as the Hugging Face cache does.
void link_model(const fs::path& target, const char* name) {
  fs::create_directories(target);
  const fs::path source = test::golden_dir() / "models" / name;
  for (const char* file : {"config.json", "model.safetensors"}) {
    fs::create_symlink(source / file, target / file);
  }
}

/// Sets an environment variable for the life of the object.
class Environment {
 public:
  Environment(const char* name, const char* value) : name_(name) {
    if (const char* old = std::getenv(name)) old_ = old;
    value == nullptr ? ::unsetenv(name) : ::setenv(name, value, 1);
  }
  ~Environment() { old_ ? ::setenv(name_, old_->c_str(), 1) : ::unsetenv(name_); }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

 private:
  const char* name_;
  std::optional<std::string> old_;
};

std::vector<std::string> names(const std::vector<FoundModel>& models) {
  std::vector<std::string> list;
  for (const auto& model : models) list.push_back(model.display_name);
  return list;
}

TEST(Discovery, FindsFoldersBelowARootOnce) {
  const test::TempDir dir;
  link_model(dir.path() / "b/mixtral", "mixtral");
  link_model(dir.path() / "a", "llama");
  write(dir.path() / "notes/config.json", "{}");  // no weights: not a model
  write(dir.path() / ".hidden/config.json", "{}");
  write(dir.path() / ".hidden/model.safetensors", "");
  fs::create_directory_symlink(dir.path(), dir.path() / "b/loop");
  fs::create_directory_symlink(dir.path() / "a", dir.path() / "same");
  fs::create_symlink(dir.path() / "nowhere", dir.path() / "dangling");
  EXPECT_THAT(names(scan_folder(dir.path())), testing::ElementsAre("a", "b/mixtral"));
  EXPECT_THAT(names(scan_folder(dir.path() / "a")), testing::ElementsAre("a"));
  EXPECT_TRUE(scan_folder(dir.path() / "nowhere").empty());
}

TEST(Discovery, KeepsItsLimits) {
  const test::TempDir dir;
  link_model(dir.path() / "1/2/3/deep", "llama");
  link_model(dir.path() / "m1", "llama");
  link_model(dir.path() / "m2", "llama");
  EXPECT_EQ(scan_folder(dir.path(), {.max_depth = 4}).size(), 3U);
  EXPECT_EQ(scan_folder(dir.path(), {.max_depth = 3}).size(), 2U);
  EXPECT_EQ(scan_folder(dir.path(), {.max_models = 1}).size(), 1U);
  EXPECT_TRUE(scan_folder(dir.path(), {.max_entries = 1}).empty());
  CancelToken cancel;
  cancel.cancel();
  EXPECT_THROW(scan_folder(dir.path(), {}, cancel), Error);
}

TEST(Discovery, FollowsReferencesInTheHuggingFaceCache) {
  const test::TempDir dir;
  const fs::path hub = dir.path() / "hub";
  const fs::path olmoe = hub / "models--allenai--OLMoE";
  link_model(olmoe / "snapshots/aaa", "olmoe");
  link_model(olmoe / "snapshots/bbb", "olmoe_clip");
  write(olmoe / "refs/main", "aaa\n");
  const fs::path unreferenced = hub / "models--solo";
  link_model(unreferenced / "snapshots/ccc", "llama");
  link_model(hub / "models--evil--ref/snapshots/ddd", "llama");
  write(hub / "models--evil--ref/refs/main", "../../outside");
  write(hub / "models--only--tokenizer/snapshots/eee/config.json", "{}");
  link_model(hub / "datasets--x--y/snapshots/fff", "llama");

  const Environment cache("HF_HUB_CACHE", hub.c_str());
  EXPECT_EQ(hugging_face_cache(), hub);
  const auto found = scan_folder(hub);
  EXPECT_THAT(names(found), testing::ElementsAre("allenai/OLMoE", "evil/ref", "solo"));
  EXPECT_EQ(found[0].path, olmoe / "snapshots/aaa");
  EXPECT_EQ(found[0].source, FoundModel::Source::kHuggingFaceCache);
  EXPECT_EQ(display_name(olmoe / "snapshots/aaa"), "allenai/OLMoE");
  EXPECT_EQ(quick_facts(olmoe / "snapshots/aaa").name, "allenai/OLMoE");

  // The demo model first, then the cache, then the given folders; nothing twice.
  const auto all = discover({hub, test::golden_dir() / "models/opt_125m"});
  EXPECT_EQ(all.front().source, FoundModel::Source::kDemo);
  EXPECT_EQ(all.back().display_name, "opt_125m");
  EXPECT_EQ(
      std::count_if(all.begin(), all.end(), [](const auto& m) { return m.display_name == "solo"; }),
      1);
}

TEST(Discovery, FindsTheCacheByTheDocumentedVariables) {
  const Environment no_cache("HF_HUB_CACHE", nullptr);
  {
    const Environment home("HF_HOME", "/somewhere");
    EXPECT_EQ(hugging_face_cache(), "/somewhere/hub");
  }
  const Environment no_home("HF_HOME", nullptr);
  const Environment user("HOME", "/home/user");
  {
    const Environment xdg("XDG_CACHE_HOME", "~/cache");
    EXPECT_EQ(hugging_face_cache(), "/home/user/cache/huggingface/hub");
  }
  const Environment xdg("XDG_CACHE_HOME", nullptr);
  EXPECT_EQ(hugging_face_cache(), "/home/user/.cache/huggingface/hub");
}

TEST(Discovery, FactsOfAGoodModel) {
  const auto facts = quick_facts(test::golden_dir() / "models/qwen3_moe");
  EXPECT_TRUE(facts.supported) << facts.reason;
  EXPECT_EQ(facts.family, "qwen3_moe");
  EXPECT_EQ(facts.architecture, "Qwen3MoeForCausalLM");
  EXPECT_EQ(facts.precision, "bf16");
  EXPECT_EQ(facts.layers, 2);
  EXPECT_EQ(facts.experts, 8);
  EXPECT_EQ(facts.top_k, 4);
  EXPECT_EQ(facts.context, 256);
  EXPECT_GT(facts.parameters, facts.active_parameters);
  EXPECT_GT(facts.file_bytes, 2 * facts.parameters);
  EXPECT_FALSE(facts.has_tokenizer);
}

TEST(Discovery, FactsOfBadFoldersGiveTheReason) {
  const test::TempDir dir;
  EXPECT_THAT(quick_facts(dir.path() / "nowhere").reason, testing::HasSubstr("not a folder"));
  EXPECT_THAT(quick_facts(dir.path()).reason, testing::HasSubstr("config.json"));
  write(dir.path() / "config.json", R"({"model_type": "gemma3", "architectures": ["Gemma3"],
      "num_hidden_layers": 26, "max_position_embeddings": 32768})");
  write(dir.path() / "model.safetensors", "12345");
  const auto facts = quick_facts(dir.path());
  EXPECT_FALSE(facts.supported);
  EXPECT_THAT(facts.reason, testing::HasSubstr("model_type"));
  EXPECT_EQ(facts.family, "gemma3");
  EXPECT_EQ(facts.layers, 26);
  EXPECT_EQ(facts.context, 32768);
  EXPECT_EQ(facts.file_bytes, 5);
  write(dir.path() / "config.json", "{\"model_type\": ");
  EXPECT_THAT(quick_facts(dir.path()).reason, testing::HasSubstr("config.json"));
  write(dir.path() / "config.json", "[1, 2]");
  EXPECT_THAT(quick_facts(dir.path()).reason, testing::HasSubstr("JSON object"));
}

}  // namespace
}  // namespace haq::model
