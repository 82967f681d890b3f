// SPDX-License-Identifier: GPL-3.0-or-later
// Every reference model opens, has the shapes of its file, and its config resolves as transformers
// resolved it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "engine/base/error.h"
#include "engine/base/file.h"
#include "engine/base/json.h"
#include "engine/model/checkpoint.h"
#include "engine/model/modules.h"
#include "engine/model/safetensors.h"
#include "tests/support/paths.h"

namespace haq::model {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> golden_models() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(test::golden_dir() / "models")) {
    names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

class GoldenModel : public testing::TestWithParam<std::string> {
 protected:
  GoldenModel()
      : folder(test::golden_dir() / "models" / GetParam()),
        checkpoint(Checkpoint::open(folder)),
        config(parse_json_file(folder / "config.json")),
        effective(parse_json_file(folder / "cases.json").at("effective")) {}
  fs::path folder;
  std::shared_ptr<const Checkpoint> checkpoint;
  nlohmann::json config, effective;
};

TEST_P(GoldenModel, EveryModuleHasItsShapeAndFiniteValues) {
  const ModelConfig& c = checkpoint->config();
  for_each_module(c, [&](const ModuleShape& shape) {
    SCOPED_TRACE(checkpoint->module_name(shape.role, shape.layer, shape.expert));
    EXPECT_TRUE(checkpoint->has(shape.role, shape.layer, shape.expert));
    if (shape.is_vector()) {
      EXPECT_EQ(checkpoint->vector(shape.role, shape.layer).size(),
                static_cast<std::size_t>(shape.rows));
      EXPECT_EQ(checkpoint->norm_bias(shape.role, shape.layer).size(),
                static_cast<std::size_t>(shape.bias ? shape.rows : 0));
      return;
    }
    const LinearWeights linear = checkpoint->linear(shape.role, shape.layer, shape.expert);
    EXPECT_EQ(linear.out(), shape.rows);
    EXPECT_EQ(linear.in(), shape.cols);
    EXPECT_EQ(linear.bias.size(), static_cast<std::size_t>(shape.bias ? shape.rows : 0));
    EXPECT_TRUE(linear.scale.empty());
    EXPECT_EQ(linear.weight.dtype, checkpoint->precision() == "f32" ? DType::kF32 : DType::kBF16);
    ASSERT_NE(linear.weight.owner, nullptr);
  });
}

TEST_P(GoldenModel, UsesEveryTensorOfTheFile) {
  std::int64_t in_files = 0;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (name.rfind("model", 0) != 0 || entry.path().extension() != ".safetensors") continue;
    const auto text = read_text_file(entry.path(), 1 << 20);
    std::uint64_t length = 0;
    std::memcpy(&length, text.data(), 8);
    in_files += static_cast<std::int64_t>(text.size() - 8 - length);
  }
  const auto parameters = checkpoint->parameters();
  if (checkpoint->precision() != "f16") {  // widened in part, see MemoryEstimate below
    EXPECT_EQ(checkpoint->memory(1, false, 1).weights, in_files);
  }
  EXPECT_EQ(parameters.total * (checkpoint->precision() == "f32" ? 4 : 2), in_files);
  EXPECT_LE(parameters.active, parameters.total);
  std::int64_t sum = 0;
  for (const auto& [name, count] : parameters.by_class) sum += count;
  EXPECT_EQ(sum, parameters.total);
}

TEST_P(GoldenModel, ConfigResolvesAsTheReferenceDid) {
  const ModelConfig& c = checkpoint->config();
  EXPECT_EQ(c.model_type, config["model_type"]);
  EXPECT_EQ(c.architecture, config["architectures"][0]);
  EXPECT_EQ(c.tied_head, effective["tie_word_embeddings"].get<bool>());
  if (effective["head_dim"].is_number() && !c.mla) {
    EXPECT_EQ(c.head_dim, effective["head_dim"]);
  }

  const auto& rope = effective["rope_parameters"];
  if (rope.is_null()) {
    EXPECT_EQ(c.rope.dim, 0);
    EXPECT_TRUE(c.learned_positions);
  } else {
    EXPECT_EQ(c.rope.theta, rope["rope_theta"].get<float>());
    const std::map<std::string, RopeScaling> kinds = {{"default", RopeScaling::kNone},
                                                      {"llama3", RopeScaling::kLlama3},
                                                      {"yarn", RopeScaling::kYarn},
                                                      {"longrope", RopeScaling::kLongRope}};
    EXPECT_EQ(c.rope.scaling, kinds.at(rope["rope_type"]));
    if (rope.contains("factor")) {
      EXPECT_EQ(c.rope.factor, rope["factor"].get<double>());
    }
    if (rope.contains("original_max_position_embeddings")) {
      EXPECT_EQ(c.rope.original_max_positions, rope["original_max_position_embeddings"]);
    }
    EXPECT_EQ(c.rope.truncate, rope.value("truncate", true));
    EXPECT_EQ(c.rope.dim, c.mla ? c.mla->rope_dim : c.head_dim);
  }

  const int window =
      effective["sliding_window"].is_number() ? effective["sliding_window"].get<int>() : 0;
  for (int layer = 0; layer < c.layer_count(); ++layer) {
    const auto& types = effective["layer_types"];
    const bool windowed = types.is_array()
                              ? types[static_cast<std::size_t>(layer)] == "sliding_attention"
                              : window > 0;
    EXPECT_EQ(c.layers[static_cast<std::size_t>(layer)].sliding_window, windowed ? window : 0);
  }
}

TEST_P(GoldenModel, Int8NamesAreUniqueAndDifferForFusedExpertsOnly) {
  const bool fused = GetParam() == "granitemoe" || GetParam() == "gpt_oss";
  std::set<std::string> names;
  for_each_module(checkpoint->config(), [&](const ModuleShape& shape) {
    const std::string name = checkpoint->quantized_name(shape.role, shape.layer, shape.expert);
    EXPECT_TRUE(names.insert(name).second) << name;
    const bool same = name == checkpoint->module_name(shape.role, shape.layer, shape.expert);
    EXPECT_EQ(same, !(fused && shape.expert >= 0)) << name;
  });
}

INSTANTIATE_TEST_SUITE_P(Models, GoldenModel, testing::ValuesIn(golden_models()),
                         [](const auto& model) { return model.param; });

std::shared_ptr<const Checkpoint> open(const char* name) {
  return Checkpoint::open(test::golden_dir() / "models" / name);
}

TEST(GoldenConfig, FusedExpertsHaveInt8NamesOfTheirOwn) {
  EXPECT_EQ(open("granitemoe")->quantized_name(Role::kUp, 1, 7),
            "model.layers.1.block_sparse_moe.experts.7.up_proj");
  EXPECT_EQ(open("gpt_oss")->quantized_name(Role::kDown, 3, 2),
            "model.layers.3.mlp.experts.2.down_proj");
  EXPECT_EQ(open("gpt_oss")->quantized_name(Role::kSinks, 3), "model.layers.3.self_attn.sinks");
}

TEST(GoldenConfig, AttentionScaleHoldsAllCorrections) {
  EXPECT_DOUBLE_EQ(open("llama")->config().attention_scale, 0.25);
  EXPECT_DOUBLE_EQ(open("granitemoe")->config().attention_scale, 0.171);
  const double mscale = 0.1 * 0.707 * std::log(40.0) + 1.0;
  EXPECT_DOUBLE_EQ(open("deepseek_v2")->config().attention_scale,
                   mscale * mscale / std::sqrt(24.0));
}

TEST(GoldenConfig, ArchitectureQuirks) {
  const auto opt = open("opt_350m")->config();
  EXPECT_FALSE(opt.norm_before);
  EXPECT_FALSE(opt.final_norm);
  EXPECT_EQ(opt.embed_dim, 64);
  EXPECT_EQ(opt.hidden, 80);
  EXPECT_EQ(opt.norm_eps, 1e-5);
  EXPECT_EQ(opt.ffn, FfnKind::kRelu);

  const auto mixed = open("qwen2_moe_mixed")->config();
  ASSERT_EQ(mixed.layer_count(), 4);
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(mixed.layers[i].moe, i == 3);
    EXPECT_EQ(mixed.layers[i].ffn_width, i == 3 ? 16 : 56);
  }
  EXPECT_TRUE(mixed.shared_gate);
  EXPECT_EQ(mixed.shared_width, 40);

  const auto clip = open("olmoe_clip")->config();
  EXPECT_EQ(clip.clip_qkv, 1.25F);
  EXPECT_EQ(clip.qk_norm, QkNorm::kFullRow);

  const auto deepseek = open("deepseek_v2")->config();
  EXPECT_FALSE(deepseek.layers[0].moe);
  EXPECT_EQ(deepseek.layers[0].ffn_width, 96);
  EXPECT_EQ(deepseek.shared_width, 32);
  EXPECT_TRUE(deepseek.rope.interleaved);
  EXPECT_EQ(deepseek.head_dim, 24);
  EXPECT_EQ(deepseek.v_head_dim, 12);

  const auto gpt = open("gpt_oss")->config();
  EXPECT_TRUE(gpt.attention_sinks && gpt.router_bias && gpt.ffn_bias);
  EXPECT_EQ(gpt.swiglu_limit, 3.0F);

  const auto phi = open("phimoe")->config();
  EXPECT_EQ(phi.router, RouterKind::kSparseMixer);
  EXPECT_EQ(phi.rope.short_factor.size(), 8U);
  EXPECT_EQ(phi.rope.long_mscale, 1.35);
  EXPECT_EQ(phi.norm, NormKind::kLayer);
}

/// Element (row, col) of a BF16 matrix.
float at(const HostMatrix& matrix, std::int64_t row, std::int64_t col) {
  std::uint16_t bits = 0;
  std::memcpy(&bits, matrix.data + (row * matrix.cols + col) * 2, 2);
  return to_float(BFloat16{bits});
}

TEST(GoldenWeights, FusedLayoutsAreSplit) {
  // granitemoe: the gate half comes first, straight from the file.
  const auto granite = open("granitemoe");
  const auto gate = granite->linear(Role::kGate, 1, 2);
  const auto up = granite->linear(Role::kUp, 1, 2);
  EXPECT_EQ(up.weight.data - gate.weight.data, 24 * 64 * 2);
  const auto next = granite->linear(Role::kGate, 1, 3);
  EXPECT_EQ(next.weight.data - gate.weight.data, 48 * 64 * 2);

  // gpt_oss: [E, in, 2I], even columns gate, odd columns up.
  const auto gpt = open("gpt_oss");
  const auto file = SafetensorsFile::open(gpt->folder() / "model.safetensors");
  const auto& info = file->header().tensors.at("model.layers.0.mlp.experts.gate_up_proj");
  HostMatrix fused;
  fused.rows = 4 * 64;
  fused.cols = 40;
  fused.data = file->data(info).data();
  const auto g = gpt->linear(Role::kGate, 0, 3);
  const auto u = gpt->linear(Role::kUp, 0, 3);
  for (std::int64_t i = 0; i < 20; ++i) {
    for (std::int64_t j = 0; j < 64; ++j) {
      ASSERT_EQ(at(g.weight, i, j), at(fused, 3 * 64 + j, 2 * i));
      ASSERT_EQ(at(u.weight, i, j), at(fused, 3 * 64 + j, 2 * i + 1));
    }
  }
}

TEST(GoldenWeights, BorrowsTheFileWhereItCan) {
  const auto llama = open("llama");
  EXPECT_EQ(llama->linear(Role::kQ, 0).weight.data, llama->linear(Role::kQ, 0).weight.data);
  const auto tied = open("qwen2");
  EXPECT_EQ(tied->linear(Role::kLmHead).weight.data, tied->linear(Role::kEmbedding).weight.data);
}

TEST(GoldenWeights, HalfFilesConvertAsAsked) {
  const auto half = open("mixtral_fp16");
  EXPECT_EQ(half->precision(), "f16");
  const auto exact = half->linear(Role::kQ, 0, -1, DType::kF32);
  const auto rounded = half->linear(Role::kQ, 0, -1, DType::kBF16);
  ASSERT_EQ(exact.weight.dtype, DType::kF32);
  for (std::int64_t i = 0; i < exact.out() * exact.in(); ++i) {
    float value = 0;
    std::memcpy(&value, exact.weight.data + i * 4, 4);
    ASSERT_EQ(at(rounded.weight, 0, i), to_float(to_bf16(value)));
  }
}

TEST(GoldenMemory, NamesEveryTerm) {
  const auto demo = Checkpoint::open(demo_model_dir());
  const auto memory = demo->memory(1000, false, 512);
  EXPECT_EQ(memory.weights, demo->parameters().bytes16);
  EXPECT_EQ(memory.kv_cache, 6 * 1024 * 2 * (64 + 64) * 2);  // whole pages of 64 tokens
  // Attention and expert matrices; all their sides are multiples of 64.
  EXPECT_EQ(memory.packed, 2 * (demo->parameters().by_class.at("attention") +
                                demo->parameters().by_class.at("experts")));
  EXPECT_GT(memory.buffers, 512 * 5 * 256 * 4);
  EXPECT_EQ(memory.total(), memory.weights + memory.packed + memory.kv_cache + memory.buffers);
  EXPECT_EQ(demo->memory(1 << 30, false, 512).kv_cache, demo->memory(1024, false, 512).kv_cache);
  const auto exact = demo->memory(1000, true, 512);
  EXPECT_EQ(exact.packed, 0);
  EXPECT_EQ(exact.kv_cache, 2 * memory.kv_cache);

  // int8 weights are read as they are; a large head is searched in an int8 copy.
  EXPECT_EQ(Checkpoint::synthetic("olmoe-1b-7b:layers=1", true)->memory(1000, false, 512).packed,
            50304 * (2048 + 12));
  EXPECT_GT(Checkpoint::synthetic("olmoe-1b-7b:layers=1", false)->memory(1000, false, 512).packed,
            0);

  const auto half = open("mixtral_fp16");
  const auto parameters = half->parameters();
  EXPECT_EQ(half->memory(1, true, 1).weights, 2 * parameters.bytes16);
  EXPECT_EQ(half->memory(1, false, 1).weights,
            parameters.bytes16 +
                2 * (parameters.by_class.at("embedding") + parameters.by_class.at("router")));
  EXPECT_THROW(half->memory(0, false, 1), Error);
}

TEST(GoldenFolder, DemoModelOpens) {
  const auto demo = Checkpoint::open(demo_model_dir());
  EXPECT_EQ(demo->config().experts, 16);
  EXPECT_EQ(demo->config().eos_ids, (std::vector<std::int64_t>{2, 0}));
  EXPECT_EQ(demo->generation().top_p, 0.95F);
  EXPECT_EQ(demo->generation().max_new_tokens, 320);
  EXPECT_EQ(demo->name(), "demo-moe");
}

}  // namespace
}  // namespace haq::model
