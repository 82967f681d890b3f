// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/model/fingerprint.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "engine/base/file.h"
#include "engine/model/checkpoint.h"
#include "tests/engine/model/builder.h"
#include "tests/support/paths.h"

namespace haq::model {
namespace {

namespace fs = std::filesystem;
using test_data::golden_config;
using test_data::golden_tensors;

/// The user's data folder lies in a temporary one during these tests.
class Fingerprint : public testing::Test {
 protected:
  Fingerprint() { ::setenv("XDG_DATA_HOME", (dir.path() / "data").c_str(), 1); }
  ~Fingerprint() override { ::unsetenv("XDG_DATA_HOME"); }
  std::string of(const std::string& folder, const nlohmann::json& config,
                 const test_data::Tensors& tensors,
                 const std::map<std::string, std::string>& metadata = {}) {
    test_data::write_model(dir.path() / folder, config, tensors, metadata);
    return Checkpoint::open(dir.path() / folder)->fingerprint();
  }
  test::TempDir dir;
  fs::path cache_file = dir.path() / "data/haq-studio/fingerprints.json";
};

TEST_F(Fingerprint, DependsOnWhatIsComputedOnly) {
  const auto config = golden_config("llama");
  const auto tensors = golden_tensors("llama");
  const std::string first = of("a", config, tensors);
  EXPECT_EQ(first.size(), 32U);
  EXPECT_EQ(of("b", config, tensors), first);
  auto renamed = config;
  renamed["eos_token_id"] = 5;
  renamed["attention_dropout"] = 0.3;
  EXPECT_EQ(of("c", renamed, tensors, {{"format", "pt"}}), first);
  auto other = config;
  other["rope_theta"] = 10001;
  EXPECT_NE(of("d", other, tensors), first);
  auto changed = tensors;
  changed["model.norm.weight"].bytes[0] ^= 1;
  EXPECT_NE(of("e", config, changed), first);
}

TEST_F(Fingerprint, DoesNotDependOnSharding) {
  const auto sharded = Checkpoint::open(test::golden_dir() / "models/mixtral_sharded");
  EXPECT_EQ(of("single", golden_config("mixtral_sharded"), golden_tensors("mixtral_sharded")),
            sharded->fingerprint());
}

TEST_F(Fingerprint, IsRememberedUntilAFileChanges) {
  const auto config = golden_config("llama");
  auto tensors = golden_tensors("llama");
  const std::string first = of("m", config, tensors);
  ASSERT_TRUE(fs::exists(cache_file));
  const auto model = Checkpoint::open(dir.path() / "m");
  int reports = 0;
  EXPECT_EQ(model->fingerprint([&](const Progress&) { ++reports; }), first);
  EXPECT_EQ(reports, 0) << "the file was read again";

  tensors["model.norm.weight"].bytes[0] ^= 1;
  const auto before = fs::last_write_time(dir.path() / "m/model.safetensors");
  test_data::write_model(dir.path() / "m", config, tensors);
  fs::last_write_time(dir.path() / "m/model.safetensors", before + std::chrono::seconds(1));
  EXPECT_NE(Checkpoint::open(dir.path() / "m")->fingerprint(), first);
}

TEST_F(Fingerprint, AnUnusableCacheDoesNotMatter) {
  const auto config = golden_config("llama");
  const auto tensors = golden_tensors("llama");
  const std::string first = of("m", config, tensors);
  for (const char* nonsense : {"", "{", "[]", R"({"/x": 3})"}) {
    test_data::write_file(cache_file, nonsense);
    EXPECT_EQ(of("m", config, tensors), first);
  }
  // Entries that are there but make no sense.
  test_data::write_file(cache_file,
                        nlohmann::json{{(dir.path() / "m").string(), {{"stamp", 3}}}}.dump());
  EXPECT_EQ(of("m", config, tensors), first);
  // A data folder that cannot be made: its name is taken by a file.
  fs::remove_all(dir.path() / "data");
  test_data::write_file(dir.path() / "data", "");
  EXPECT_EQ(of("m", config, tensors), first);
}

TEST_F(Fingerprint, StopsWhenCancelled) {
  const auto model = Checkpoint::open(test::golden_dir() / "models/llama");
  CancelToken cancel;
  cancel.cancel();
  EXPECT_THROW(model->fingerprint({}, cancel), Error);
  EXPECT_FALSE(fs::exists(cache_file));
}

TEST_F(Fingerprint, QuantizedFolderNamesItsSource) {
  auto config = golden_config("mixtral");
  const auto tensors = golden_tensors("mixtral");
  const std::string source = of("source", config, tensors);
  EXPECT_EQ(Checkpoint::open(dir.path() / "source")->base_fingerprint(), source);
  config["quantization_config"] = test_data::w8a8_config();
  const auto int8 = test_data::quantized(tensors);
  const std::string own = of("int8", config, int8, {{"haq.base_fingerprint", source}});
  EXPECT_NE(own, source);
  EXPECT_EQ(Checkpoint::open(dir.path() / "int8")->base_fingerprint(), source);
  const std::string foreign = of("foreign", config, int8);
  EXPECT_EQ(Checkpoint::open(dir.path() / "foreign")->base_fingerprint(), foreign);
  for (const char* folder : {"source", "int8", "foreign"}) {
    const auto model = Checkpoint::open(dir.path() / folder);
    EXPECT_EQ(base_fingerprint_of(*model), model->base_fingerprint()) << folder;
  }
}

}  // namespace
}  // namespace haq::model
