// SPDX-License-Identifier: GPL-3.0-or-later
// From finished layers to a model folder: what readers find, and what a kill leaves.
#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "engine/model/modules.h"
#include "engine/model/safetensors.h"
#include "tests/engine/quant/work_folder_fixture.h"
#include "tests/support/errors.h"
#include "tests/support/quantized_folder.h"

namespace haq::quant {
namespace {

namespace fs = std::filesystem;
using test::error_of;
using testing::HasSubstr;

class GoldenFolder : public WorkFolderTest, public testing::WithParamInterface<std::string> {
 protected:
  GoldenFolder() : WorkFolderTest(GetParam()) {}
};

/// The written folder opens as every other model, and holds what was handed over.
TEST_P(GoldenFolder, IsReadAsAQuantizedModel) {
  write_model(60000);
  EXPECT_FALSE(fs::exists(target_ / ".haq-quantize"));
  const auto written = model::Checkpoint::open(target_);
  const auto& source = *outputs_.source;
  EXPECT_TRUE(written->config().quantized);
  EXPECT_EQ(written->precision(), "w8a8");
  EXPECT_EQ(written->config().torch_dtype, source.config().torch_dtype);
  EXPECT_EQ(written->base_fingerprint(), source.fingerprint());
  EXPECT_NE(written->fingerprint(), source.fingerprint());
  model::for_each_module(source.config(), [&](const model::ModuleShape& shape) {
    if (shape.is_vector()) {
      EXPECT_EQ(written->vector(shape.role, shape.layer), source.vector(shape.role, shape.layer));
      return;
    }
    const LinearWeights weights =
        written->linear(shape.role, shape.layer, shape.expert, DType::kBF16);
    const bool int8 = model::is_quantizable(shape.role);
    EXPECT_EQ(weights.weight.dtype == DType::kI8, int8);
    EXPECT_TRUE(weights.weight.mapped) << "read in place";
    EXPECT_EQ(weights.scale.size(), int8 ? static_cast<std::size_t>(shape.rows) : 0U);
  });
  const auto set = model::TensorSet::open(target_);
  for (const auto& file : set.files()) {
    const auto& metadata = file->header().metadata;
    EXPECT_EQ(metadata.at("format"), "pt");
    EXPECT_EQ(metadata.at("haq.run"), identity_.hash());
    EXPECT_EQ(metadata.at("haq.base_fingerprint"), identity_.source_fingerprint);
    EXPECT_EQ(metadata.at("haq.method"), "rtn");
  }
}
INSTANTIATE_TEST_SUITE_P(Models, GoldenFolder, testing::ValuesIn(test::golden_models()),
                         [](const auto& model) { return model.param; });

class Finish : public WorkFolderTest {};

TEST_F(Finish, ShardsStayBelowTheLimitAndKeepLayersTogether) {
  std::uint64_t largest = 0;
  for (int layer = 0; layer < outputs_.count(); ++layer) {
    std::uint64_t bytes = 0;
    for (const auto& tensor : outputs_.layer(layer).tensors) bytes += tensor.bytes.size();
    largest = std::max(largest, bytes);
  }
  write_model(largest);
  const auto set = model::TensorSet::open(target_);
  EXPECT_GT(set.files().size(), 1U);
  std::map<std::string, std::set<std::string>> files_of_layer;
  for (const auto& file : set.files()) {
    std::uint64_t bytes = 0;
    for (const auto& [name, info] : file->header().tensors) {
      bytes += info.bytes();
      EXPECT_EQ(info.begin % size_of(*info.dtype), 0U);
      if (info.bytes() % 64 == 0) {
        EXPECT_EQ((file->header().data_start + info.begin) % 64, 0U);
      }
      const auto layer = name.find("layers.");
      if (layer != std::string::npos) {
        files_of_layer[name.substr(layer, 8)].insert(file->mapping()->path().filename());
      }
    }
    EXPECT_LE(bytes, largest);
  }
  EXPECT_EQ(files_of_layer.size(), static_cast<std::size_t>(outputs_.count()));
  for (const auto& [layer, files] : files_of_layer) EXPECT_EQ(files.size(), 1U) << layer;
  const auto index =
      nlohmann::json::parse(read_text_file(target_ / "model.safetensors.index.json", 1 << 24));
  EXPECT_EQ(index["weight_map"].size(), set.entries().size());
  EXPECT_TRUE(
      fs::exists(target_ / fmt::format("model-00001-of-{:05}.safetensors", set.files().size())));
}

TEST_F(Finish, ATensorAboveTheLimitHasAShardToItself) {
  write_model(1000);
  const auto set = model::TensorSet::open(target_);
  for (const auto& file : set.files()) {
    std::uint64_t bytes = 0;
    for (const auto& [name, info] : file->header().tensors) bytes += info.bytes();
    EXPECT_TRUE(bytes <= 1000 || file->header().tensors.size() == 1) << bytes;
  }
  (void)model::Checkpoint::open(target_);
}

TEST_F(Finish, AnInterruptedRunGivesTheSameBytes) {
  write_model(70000);
  const auto expected = contents(target_);
  target_ = temporary_.path() / "second";
  {
    WorkFolder folder = open();
    save(folder, 1, outputs_.count());
  }
  {
    WorkFolder folder = open(ResumeMode::kResume);
    LayerOutput slower = *folder.load_layer(1);
    for (auto& module : slower.modules) module.seconds *= 3;  // time is not part of the result
    folder.save_layer(slower);
    save(folder, -1, 1);
    finish(folder, 70000);
  }
  EXPECT_EQ(contents(target_), expected);
}

/// Kills the process (no destructor runs) after one piece of finish() or another.
TEST_F(Finish, AKillAtAnyMomentIsMadeGood) {
  write_model(70000);
  const auto expected = contents(target_);
  bool killed = true;
  int kills = 0;
  for (int stop = 0; killed; stop += stop < 4 ? 1 : 12) {  // every step would only cost time
    target_ = temporary_.path() / fmt::format("kill-{}", stop);
    {
      WorkFolder folder = open();
      save_all(folder);
    }
    const pid_t child = ::fork();
    if (child == 0) {
      int seen = 0;
      WorkFolder folder = open(ResumeMode::kResume);
      finish(folder, 70000, [&](const Progress&) {
        if (seen++ == stop) ::_exit(9);
      });
      ::_exit(0);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFEXITED(status));
    killed = WEXITSTATUS(status) == 9;
    if (!killed) {
      EXPECT_EQ(contents(target_), expected);
      break;
    }
    ++kills;
    EXPECT_FALSE(WorkFolder::inspect(target_).finished);
    EXPECT_EQ(WorkFolder::inspect(target_).layers_done, outputs_.count());
    WorkFolder folder = open(ResumeMode::kResume);
    for (int layer = -1; layer < outputs_.count(); ++layer) {
      ASSERT_TRUE(folder.has_layer(layer)) << stop;
      const LayerOutput loaded = *folder.load_layer(layer);
      EXPECT_EQ(loaded.tensors.size(), outputs_.layer(layer).tensors.size());
      EXPECT_EQ(loaded.modules.size(), outputs_.layer(layer).modules.size());
    }
    finish(folder, 1 << 30);  // another limit: the cut that was begun counts
    EXPECT_EQ(contents(target_), expected);
    fs::remove_all(target_);
  }
  EXPECT_GE(kills, 5);
}

TEST_F(Finish, ACancelKeepsWhatIsDone) {
  CancelToken cancel;
  {
    WorkFolder folder = open();
    save_all(folder);
    int seen = 0;
    const Error error = error_of([&] {
      finish(
          folder, 70000,
          [&](const Progress&) {
            if (++seen == 20) cancel.cancel();
          },
          cancel);
    });
    EXPECT_EQ(error.code(), ErrorCode::kCancelled);
    EXPECT_FALSE(fs::exists(target_ / "config.json"));
  }
  WorkFolder folder = open(ResumeMode::kResume);
  std::uint64_t last = 0;
  std::uint64_t total = 0;
  finish(folder, 70000, [&](const Progress& progress) {
    EXPECT_GE(progress.done, last);
    last = progress.done;
    total = progress.total;
  });
  EXPECT_EQ(last, total);
  (void)model::Checkpoint::open(target_);
}

TEST_F(Finish, ALayerLostAfterTheCutWasBegunIsAskedForAgain) {
  write_model(70000);
  const auto expected = contents(target_);
  target_ = temporary_.path() / "second";
  CancelToken cancel;
  WorkFolder folder = open();
  save_all(folder);
  EXPECT_EQ(error_of([&] {
              finish(
                  folder, 70000, [&](const Progress&) { cancel.cancel(); }, cancel);
            }).code(),
            ErrorCode::kCancelled);
  const int last = outputs_.count() - 1;
  fs::remove(target_ / fmt::format(".haq-quantize/layer-{:04}.safetensors", last));
  EXPECT_FALSE(folder.has_layer(last));
  EXPECT_EQ(error_of([&] { finish(folder, 70000); }).code(), ErrorCode::kNotFound);
  folder.save_layer(outputs_.layer(last));
  finish(folder, 70000);
  EXPECT_EQ(contents(target_), expected);
}

TEST_F(Finish, CopiesTokenizerAndTemplateFilesButNoCode) {
  const fs::path copy = temporary_.path() / "source";
  fs::copy(source_, copy, fs::copy_options::recursive);
  source_ = copy;
  fs::create_directories(copy / "additional_chat_templates");
  const std::vector<std::string> companions = {"tokenizer.json",
                                               "tokenizer.model",
                                               "tokenizer_config.json",
                                               "special_tokens_map.json",
                                               "added_tokens.json",
                                               "vocab.json",
                                               "merges.txt",
                                               "chat_template.jinja",
                                               "generation_config.json",
                                               "LICENSE",
                                               "LICENSE.txt",
                                               "Notice.md",
                                               "additional_chat_templates/tool_use.jinja"};
  for (const auto& name : companions) std::ofstream(copy / name) << "{\"of\": \"" << name << "\"}";
  for (const char* name : {"modeling_x.py", "configuration_x.py", "README.md", "license.bin",
                           "optimizer.safetensors", "t7.txt"}) {
    std::ofstream(copy / name) << "x";
  }
  auto config = nlohmann::ordered_json::parse(read_text_file(copy / "config.json", 1 << 20));
  config["auto_map"] = {{"AutoConfig", "configuration_x.XConfig"}};
  std::ofstream(copy / "config.json") << config.dump(2);
  outputs_ = test::plain_outputs(model::Checkpoint::open(copy));
  const auto before = contents(copy);

  WorkFolder folder = open();
  save_all(folder);
  const auto notices = finish(folder);
  ASSERT_EQ(notices.size(), 1U);
  EXPECT_THAT(notices.front(), HasSubstr("configuration_x.py, modeling_x.py"));
  auto files = contents(target_);
  for (const auto& name : companions) {
    EXPECT_EQ(files[name], before.at(name)) << name;
    files.erase(name);
  }
  files.erase("model.safetensors");
  const auto written = nlohmann::ordered_json::parse(files["config.json"]);
  EXPECT_FALSE(written.contains("auto_map"));
  files.erase("config.json");
  EXPECT_TRUE(files.empty()) << files.begin()->first;
  EXPECT_EQ(contents(copy), before) << "the source is never touched";
}

TEST_F(Finish, ConfigIsTheSourcesWithTheQuantizationAdded) {
  WorkFolder folder = open();
  save_all(folder);
  finish(folder);
  auto written = nlohmann::ordered_json::parse(read_text_file(target_ / "config.json", 1 << 20));
  const auto source =
      nlohmann::ordered_json::parse(read_text_file(source_ / "config.json", 1 << 20));
  EXPECT_EQ(written["quantization_config"]["ignore"].get<std::vector<std::string>>(),
            outputs_.ignore);
  written.erase("quantization_config");
  EXPECT_EQ(written.dump(), source.dump()) << "order of keys included";
}

TEST(QuantizationConfig, IsTheOneThatOthersRead) {
  const auto expected = nlohmann::ordered_json::parse(R"({
    "quant_method": "compressed-tensors", "version": "0.18.0", "format": "int-quantized",
    "quantization_status": "compressed", "global_compression_ratio": null, "kv_cache_scheme": null,
    "sparsity_config": {}, "transform_config": {},
    "ignore": ["lm_head"],
    "config_groups": { "group_0": {
      "targets": ["Linear"], "format": "int-quantized",
      "weights": {"num_bits":8,"type":"int","symmetric":true,"strategy":"channel","group_size":null,
        "block_structure":null,"dynamic":false,"actorder":null,"observer":"minmax","observer_kwargs":{}},
      "input_activations": {"num_bits":8,"type":"int","symmetric":true,"strategy":"token","group_size":null,
        "block_structure":null,"dynamic":true,"actorder":null,"observer":null,"observer_kwargs":{}},
      "output_activations": null } } })");
  EXPECT_EQ(quantization_config({"lm_head"}).dump(2), expected.dump(2));
  EXPECT_EQ(quantization_config({})["ignore"].dump(), "[]");
}

class TiedFinish : public WorkFolderTest {
 protected:
  TiedFinish() : WorkFolderTest("qwen2") {}
};

TEST_F(TiedFinish, AHeadOfItsOwnIsUntiedInTheConfig) {
  WorkFolder folder = open();
  OutputTensor head = outputs_.globals.tensors.front();
  ASSERT_THAT(head.name, HasSubstr("embed_tokens.weight"));
  head.name = "lm_head.weight";
  head.bytes[0] ^= std::byte{1};
  outputs_.globals.tensors.push_back(head);
  save_all(folder);
  model::ModelConfig quantized = outputs_.source->config();
  quantized.tied_head = false;
  folder.finish(*outputs_.source, quantized, true, {"lm_head"}, {});
  const auto written = model::Checkpoint::open(target_);
  EXPECT_FALSE(written->config().tied_head);
  const auto weights = written->linear(model::Role::kLmHead, -1, -1, DType::kBF16);
  EXPECT_EQ(weights.weight.data[0], head.bytes[0]);
}

}  // namespace
}  // namespace haq::quant
