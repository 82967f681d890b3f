// SPDX-License-Identifier: GPL-3.0-or-later
// Folders in which one thing is wrong or unusual, and int8 folders.
#include <gtest/gtest.h>

#include <cstring>
#include <limits>
#include <thread>

#include "engine/model/checkpoint.h"
#include "tests/engine/model/builder.h"
#include "tests/support/errors.h"
#include "tests/support/paths.h"

namespace haq::model {
namespace {

using test::expect_error;
using test_data::golden_config;
using test_data::golden_tensors;
using test_data::Tensors;

class Folder : public testing::Test {
 protected:
  std::shared_ptr<const Checkpoint> open(const nlohmann::json& config, const Tensors& tensors,
                                         const std::map<std::string, std::string>& metadata = {}) {
    test_data::write_model(dir.path(), config, tensors, metadata);
    return Checkpoint::open(dir.path());
  }
  void refuse(ErrorCode code, const std::vector<std::string>& parts, const nlohmann::json& config,
              const Tensors& tensors) {
    SCOPED_TRACE(parts.front());
    expect_error(code, parts, [&] { open(config, tensors); });
  }
  test::TempDir dir;
};

TEST_F(Folder, NamesWhatIsMissingOrHasTheWrongForm) {
  const auto config = golden_config("llama");
  const Tensors good = golden_tensors("llama");
  Tensors bad = good;
  bad.erase("model.layers.1.mlp.up_proj.weight");
  refuse(ErrorCode::kNotFound, {"model.layers.1.mlp.up_proj.weight", "[112, 64]"}, config, bad);
  bad = good;
  bad["model.norm.weight"].shape = {1, 64};
  refuse(ErrorCode::kCorrupt, {"model.norm.weight", "[1, 64]", "[64]"}, config, bad);
  bad = good;
  bad["lm_head.weight"].dtype = "U16";
  refuse(ErrorCode::kUnsupported, {"lm_head.weight", "U16"}, config, bad);
  bad = good;
  bad["model.layers.0.mlp.up_proj.weight"].dtype = "I16";
  refuse(ErrorCode::kUnsupported, {"model.layers.0.mlp.up_proj.weight", "I16"}, config, bad);
  bad = good;
  bad["model.layers.0.self_attn.q_proj.bias"] = {"BF16", {64}, std::string(128, '\0')};
  refuse(ErrorCode::kUnsupported, {"q_proj.bias"}, config, bad);
  auto with_bias = config;
  with_bias["attention_bias"] = true;
  refuse(ErrorCode::kNotFound, {"q_proj.bias", "[64]"}, with_bias, good);
  auto other = config;
  other["vocab_size"] = 255;
  refuse(ErrorCode::kCorrupt, {"embed_tokens", "[256, 64]", "[255, 64]"}, other, good);
}

TEST_F(Folder, TensorsThatAreNotUsedMayBeAnything) {
  Tensors tensors = golden_tensors("llama");
  tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = {"F64", {2}, std::string(16, '?')};
  tensors["ids"] = {"I64", {1}, std::string(8, '?')};
  EXPECT_NO_THROW(open(golden_config("llama"), tensors));
}

TEST_F(Folder, UnalignedTensorsAreCopied) {
  Tensors tensors = golden_tensors("llama");
  tensors["a"] = {"U8", {1}, "x"};  // sorts first, so all data starts at an odd byte
  const auto shifted = open(golden_config("llama"), tensors);
  const auto straight = Checkpoint::open(test::golden_dir() / "models/llama");
  for (const Role role : {Role::kQ, Role::kDown}) {
    const auto a = shifted->linear(role, 1).weight;
    const auto b = straight->linear(role, 1).weight;
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(a.data) % 2, 0U);
    ASSERT_EQ(a.bytes(), b.bytes());
    EXPECT_EQ(std::memcmp(a.data, b.data, a.bytes()), 0);
  }
  EXPECT_EQ(shifted->vector(Role::kFinalNorm), straight->vector(Role::kFinalNorm));
}

TEST_F(Folder, WeightsOutliveTheCheckpoint) {
  HostMatrix kept;
  {
    const auto model = open(golden_config("llama"), golden_tensors("llama"));
    kept = model->linear(Role::kQ, 0).weight;
  }
  std::filesystem::remove(dir.path() / "model.safetensors");
  const auto again = Checkpoint::open(test::golden_dir() / "models/llama")->linear(Role::kQ, 0);
  EXPECT_EQ(std::memcmp(kept.data, again.weight.data, kept.bytes()), 0);
}

TEST_F(Folder, OptComesWithTwoPrefixes) {
  Tensors renamed;
  for (const auto& [name, tensor] : golden_tensors("opt_125m")) {
    renamed[name.substr(std::string("model.").size())] = tensor;
  }
  ASSERT_EQ(renamed.count("decoder.embed_tokens.weight"), 1U);
  const auto model = open(golden_config("opt_125m"), renamed);
  EXPECT_EQ(model->module_name(Role::kO, 1), "decoder.layers.1.self_attn.out_proj");
  EXPECT_EQ(model->norm_bias(Role::kInputNorm, 0).size(), 64U);
}

TEST_F(Folder, ATiedHeadMayBeStoredTwiceButNotDiffer) {
  Tensors tensors = golden_tensors("qwen2");
  tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"];
  EXPECT_EQ(open(golden_config("qwen2"), tensors)->linear(Role::kLmHead).out(), 288);
  tensors["lm_head.weight"].bytes[100] ^= 1;
  const auto model = open(golden_config("qwen2"), tensors);
  expect_error(ErrorCode::kCorrupt, {"lm_head.weight", "tie_word_embeddings"},
               [&] { model->linear(Role::kLmHead); });
}

TEST_F(Folder, NonFiniteVectorsAreRefusedByName) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  Tensors tensors = golden_tensors("opt_125m");
  tensors["model.decoder.layers.1.fc1.bias"].bytes = test_data::bf16_bytes(nan, 192);
  tensors["model.decoder.final_layer_norm.weight"].bytes =
      test_data::bf16_bytes(std::numeric_limits<float>::infinity(), 64);
  tensors["model.decoder.layers.0.final_layer_norm.bias"].bytes = test_data::bf16_bytes(nan, 64);
  const auto model = open(golden_config("opt_125m"), tensors);
  expect_error(ErrorCode::kNumeric, {"layers.1.fc1.bias"}, [&] { model->linear(Role::kUp, 1); });
  expect_error(ErrorCode::kNumeric, {"final_layer_norm.weight"},
               [&] { model->vector(Role::kFinalNorm); });
  expect_error(ErrorCode::kNumeric, {"layers.0.final_layer_norm.bias"},
               [&] { model->norm_bias(Role::kPostAttentionNorm, 0); });
}

TEST_F(Folder, AsksForModulesThatDoNotExist) {
  const auto model = open(golden_config("mixtral"), golden_tensors("mixtral"));
  EXPECT_FALSE(model->has(Role::kGate, 0));  // the FFN is made of experts
  EXPECT_FALSE(model->has(Role::kUp, 0, 4));
  EXPECT_FALSE(model->has(Role::kQ, 2));
  EXPECT_FALSE(model->has(Role::kSharedUp, 0));
  EXPECT_TRUE(model->has(Role::kUp, 1, 3));
  EXPECT_TRUE(model->has(Role::kLmHead));
  expect_error(ErrorCode::kNotFound, {"mixtral"}, [&] { model->linear(Role::kUp, 0, 4); });
  expect_error(ErrorCode::kNotFound, {"mixtral"}, [&] { model->vector(Role::kSinks, 0); });
}

TEST_F(Folder, EosIdsComeFromBothFiles) {
  test_data::write_file(dir.path() / "generation_config.json", R"({"eos_token_id": [7, 2]})");
  const auto model = open(golden_config("llama"), golden_tensors("llama"));
  EXPECT_EQ(model->config().eos_ids, (std::vector<std::int64_t>{2, 7}));
  test_data::write_file(dir.path() / "generation_config.json", R"({"eos_token_id": "x"})");
  expect_error(ErrorCode::kCorrupt, {"generation_config.json", "eos_token_id"},
               [&] { Checkpoint::open(dir.path()); });
}

TEST_F(Folder, IsReadFromSeveralThreads) {
  const auto model = open(golden_config("mixtral_fp16"), golden_tensors("mixtral_fp16"));
  const auto expected = model->linear(Role::kUp, 0, 1).weight;
  std::vector<std::thread> threads;
  std::vector<int> equal(4, 0);
  for (std::size_t t = 0; t < equal.size(); ++t) {
    threads.emplace_back([&, t] {
      for (int round = 0; round < 20; ++round) {
        const auto mine = model->linear(Role::kUp, 0, 1).weight;
        equal[t] += std::memcmp(mine.data, expected.data, expected.bytes()) == 0 ? 1 : 0;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(equal, std::vector<int>(4, 20));
}

// --- compressed-tensors int8 folders -----------------------------------------------------------

class QuantizedFolder : public Folder {
 protected:
  QuantizedFolder()
      : config(golden_config("mixtral")), tensors(test_data::quantized(golden_tensors("mixtral"))) {
    config["quantization_config"] = test_data::w8a8_config();
  }
  nlohmann::json& section() { return config["quantization_config"]; }
  nlohmann::json& weights() {
    return config["quantization_config"]["config_groups"]["group_0"]["weights"];
  }
  nlohmann::json& activations() {
    return config["quantization_config"]["config_groups"]["group_0"]["input_activations"];
  }
  const std::string q = "model.layers.0.self_attn.q_proj";
  nlohmann::json config;
  Tensors tensors;
};

TEST_F(QuantizedFolder, GivesInt8WithScales) {
  const auto model = open(config, tensors);
  const auto original = Checkpoint::open(test::golden_dir() / "models/mixtral");
  EXPECT_EQ(model->precision(), "w8a8");
  EXPECT_TRUE(model->config().quantized);
  EXPECT_EQ(model->linear(Role::kRouter, 0).weight.dtype, DType::kBF16);
  EXPECT_EQ(model->linear(Role::kLmHead).weight.dtype, DType::kBF16);
  for (const auto& [role, expert] : {std::pair{Role::kQ, -1}, std::pair{Role::kDown, 3}}) {
    const auto int8 = model->linear(role, 1, expert);
    const auto exact = original->linear(role, 1, expert);
    ASSERT_EQ(int8.weight.dtype, DType::kI8);
    ASSERT_EQ(int8.scale.size(), static_cast<std::size_t>(int8.out()));
    for (std::int64_t i = 0; i < int8.out() * int8.in(); ++i) {
      std::uint16_t bits = 0;
      std::memcpy(&bits, exact.weight.data + 2 * i, 2);
      const float scale = int8.scale[static_cast<std::size_t>(i / int8.in())];
      const auto value = static_cast<std::int8_t>(int8.weight.data[i]);
      ASSERT_NEAR(static_cast<float>(value) * scale, to_float(BFloat16{bits}), scale * 0.501F);
    }
  }
  EXPECT_LT(model->parameters().bytes8, model->parameters().bytes16);
  EXPECT_EQ(model->parameters().total, original->parameters().total);
}

TEST_F(QuantizedFolder, AcceptsTheVariationsInUse) {
  // Old key, no format inside the group, group_size -1 for "channel", one-dimensional BF16 scales.
  auto section = config["quantization_config"];
  config.erase("quantization_config");
  section.erase("quant_method");
  section.erase("format");
  auto& group = section["config_groups"]["group_0"];
  group.erase("format");
  group["weights"].erase("strategy");
  group["weights"]["group_size"] = -1;
  group["input_activations"]["observer"] = "memoryless";
  section["ignore"] = {"lm_head"};  // routers are no Linear modules for newer writers
  config["compression_config"] = section;
  tensors[q + ".weight_scale"] = {"BF16", {64}, test_data::bf16_bytes(0.01F, 64)};
  tensors[q + ".weight_zero_point"] = {"I8", {64, 1}, std::string(64, '\0')};
  const auto model = open(config, tensors);
  EXPECT_EQ(model->linear(Role::kQ, 0).scale, std::vector<float>(64, to_float(to_bf16(0.01F))));

  // A linear that the writer left alone stays as it is; foreign weights may hold -128.
  tensors[q + ".weight"] = golden_tensors("mixtral").at(q + ".weight");
  tensors["model.layers.0.self_attn.k_proj.weight"].bytes[5] = '\x80';
  const auto mixed = open(config, tensors);
  EXPECT_EQ(mixed->linear(Role::kQ, 0).weight.dtype, DType::kBF16);
  EXPECT_EQ(static_cast<std::int8_t>(mixed->linear(Role::kK, 0).weight.data[5]), -128);
}

TEST_F(QuantizedFolder, GraniteExpertsComeAsSeparateModules) {
  auto granite = golden_config("granitemoe");
  granite["quantization_config"] = test_data::w8a8_config();
  Tensors split;
  for (const auto& [name, tensor] : golden_tensors("granitemoe")) {
    const auto at = name.find("input_linear.weight");
    const auto down = name.find("output_linear.weight");
    if (at == std::string::npos && down == std::string::npos) {
      split[name] = tensor;
      continue;
    }
    const std::string base = name.substr(0, std::min(at, down)) + "experts.";
    const std::size_t part = 24 * 64 * 2;
    for (std::size_t expert = 0; expert < 8; ++expert) {
      const std::string module = base + std::to_string(expert);
      if (down != std::string::npos) {
        split[module + ".down_proj.weight"] = {
            "BF16", {64, 24}, tensor.bytes.substr(expert * part, part)};
        continue;
      }
      split[module + ".gate_proj.weight"] = {
          "BF16", {24, 64}, tensor.bytes.substr(2 * expert * part, part)};
      split[module + ".up_proj.weight"] = {
          "BF16", {24, 64}, tensor.bytes.substr((2 * expert + 1) * part, part)};
    }
  }
  const auto model = open(granite, test_data::quantized(split));
  EXPECT_EQ(model->linear(Role::kUp, 1, 7).weight.dtype, DType::kI8);
  EXPECT_EQ(model->module_name(Role::kUp, 1, 7),
            "model.layers.1.block_sparse_moe.experts.7.up_proj");
}

TEST_F(QuantizedFolder, RefusesWhatTheIntegerPathDoesNotCompute) {
  const auto good = config;
  const auto refuse_change = [&](const char* field, const std::function<void()>& change) {
    config = good;
    change();
    refuse(ErrorCode::kUnsupported, {field, "config.json"}, config, tensors);
  };
  refuse_change("quant_method", [&] { section()["quant_method"] = "gptq"; });
  refuse_change("quantization_config.format", [&] { section()["format"] = "pack-quantized"; });
  refuse_change("group_0.format",
                [&] { section()["config_groups"]["group_0"]["format"] = "float-quantized"; });
  refuse_change("quantization_status", [&] { section()["quantization_status"] = "initialized"; });
  refuse_change("kv_cache_scheme", [&] { section()["kv_cache_scheme"] = {{"num_bits", 8}}; });
  refuse_change("transform_config", [&] { section()["transform_config"] = {{"R1", 1}}; });
  refuse_change("sparsity_config.format", [&] {
    section()["sparsity_config"] = {{"format", "sparse-bitmask"}};
  });
  refuse_change("targets",
                [&] { section()["config_groups"]["group_0"]["targets"] = {"re:.*q_proj"}; });
  refuse_change("weights.num_bits", [&] { weights()["num_bits"] = 4; });
  refuse_change("weights.type", [&] { weights()["type"] = "float"; });
  refuse_change("weights.symmetric", [&] { weights()["symmetric"] = false; });
  refuse_change("weights.strategy", [&] { weights()["strategy"] = "tensor"; });
  refuse_change("weights.strategy", [&] { weights().erase("strategy"); });
  refuse_change("weights.group_size", [&] { weights()["group_size"] = 128; });
  refuse_change("weights.actorder", [&] { weights()["actorder"] = "group"; });
  refuse_change("weights.dynamic", [&] { weights()["dynamic"] = true; });
  refuse_change("input_activations", [&] { activations() = nullptr; });
  refuse_change("input_activations.dynamic", [&] { activations()["dynamic"] = false; });
  refuse_change("input_activations.dynamic", [&] { activations()["dynamic"] = "local"; });
  refuse_change("input_activations.strategy", [&] { activations()["strategy"] = "tensor"; });
  refuse_change("config_groups", [&] {
    section()["config_groups"]["group_1"] = section()["config_groups"]["group_0"];
  });
  config = good;
  section()["ignore"] = {"re:(unclosed"};
  refuse(ErrorCode::kCorrupt, {"ignore", "re:(unclosed"}, config, tensors);
  section()["ignore"] = {"re:(a*)*(a*)*(a*)*b|model(.*)*(.*)*(.*)*(.*)*x$"};
  refuse(ErrorCode::kLimit, {"ignore"}, config, tensors);
}

TEST_F(QuantizedFolder, RefusesContradictions) {
  const auto good = tensors;
  auto plain = config;
  plain.erase("quantization_config");
  refuse(ErrorCode::kCorrupt, {"quantization_config", "q_proj"}, plain, tensors);
  auto ignored = config;
  ignored["quantization_config"]["ignore"] = {q};
  refuse(ErrorCode::kCorrupt, {q, "ignore"}, ignored, tensors);
  ignored["quantization_config"]["ignore"] = {"re:model.layers.0.*k_proj"};
  refuse(ErrorCode::kCorrupt, {"k_proj", "ignore"}, ignored, tensors);
  tensors.erase(q + ".weight_scale");
  refuse(ErrorCode::kNotFound, {q + ".weight_scale", "[64, 1]"}, config, tensors);
  tensors = good;
  tensors[q + ".weight_scale"].shape = {1, 64};
  refuse(ErrorCode::kCorrupt, {q + ".weight_scale", "[1, 64]"}, config, tensors);
  tensors[q + ".weight_scale"] = {"I32", {64, 1}, std::string(256, '\0')};
  refuse(ErrorCode::kUnsupported, {q + ".weight_scale", "I32"}, config, tensors);
  tensors = good;
  tensors["lm_head.weight"] = {"I8", {256, 64}, std::string(256 * 64, '\1')};
  refuse(ErrorCode::kUnsupported, {"lm_head", "I8"}, config, tensors);
}

TEST_F(QuantizedFolder, RefusesBadScalesWhenTheyAreRead) {
  std::vector<float> scales(64, 0.5F);
  scales[3] = -0.5F;
  tensors[q + ".weight_scale"].bytes = test_data::f32_bytes(scales);
  expect_error(ErrorCode::kCorrupt, {q + ".weight_scale", "element 3"},
               [&] { open(config, tensors)->linear(Role::kQ, 0); });
  scales[3] = std::numeric_limits<float>::infinity();
  tensors[q + ".weight_scale"].bytes = test_data::f32_bytes(scales);
  expect_error(ErrorCode::kNumeric, {q + ".weight_scale", "element 3"},
               [&] { open(config, tensors)->linear(Role::kQ, 0); });
  scales[3] = 0;
  tensors[q + ".weight_scale"].bytes = test_data::f32_bytes(scales);
  tensors[q + ".weight_zero_point"] = {"I8", {64, 1}, std::string(64, '\1')};
  expect_error(ErrorCode::kUnsupported, {q, "zero_point"},
               [&] { open(config, tensors)->linear(Role::kQ, 0); });
}

}  // namespace
}  // namespace haq::model
