// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/session/bench_shapes.h"

#include <gtest/gtest.h>

namespace haq::session {
namespace {

model::ModelConfig small_config() {
  model::ModelConfig config;
  config.hidden = 64;
  config.heads = 4;
  config.kv_heads = 2;
  config.head_dim = config.v_head_dim = 16;
  config.experts = 8;
  config.top_k = 2;
  config.layers.resize(2);
  for (model::LayerConfig& layer : config.layers) {
    layer.moe = true;
    layer.ffn_width = 32;
  }
  return config;
}

TEST(BenchShapes, JoinsEqualProductsAndSpreadsTokensEvenly) {
  const std::vector<GemmShape> shapes = prefill_shapes(small_config(), 100);
  std::int64_t products = 0;
  for (const GemmShape& shape : shapes) {
    products += shape.count;
    if (shape.name == "experts in") {
      EXPECT_EQ(shape.m, 25);  // 200 choices over 8 experts
      EXPECT_EQ(shape.n, 32);
      EXPECT_EQ(shape.k, 64);
      EXPECT_EQ(shape.count, 2 * 2 * 8);
    }
  }
  // Per layer q, k, v, o and three per expert.
  EXPECT_EQ(products, 2 * (4 + 3 * 8));
}

TEST(BenchShapes, AFewTokensUseOnlyAsManyExperts) {
  double operations = 0;
  for (const GemmShape& shape : prefill_shapes(small_config(), 1)) operations += shape.operations();
  // q and o 64x64, k and v 32x64, two experts of three 32x64 matrices, two layers.
  EXPECT_EQ(operations, 2.0 * 2 * (2 * 64 * 64 + 2 * 32 * 64 + 2 * 3 * 32 * 64));
  EXPECT_EQ(prefill_operations(small_config(), 1, 512), operations);
}

TEST(BenchShapes, ADensePromptCostsTheSameInChunks) {
  model::ModelConfig config = small_config();
  for (model::LayerConfig& layer : config.layers) layer.moe = false;
  EXPECT_EQ(prefill_operations(config, 100, 7), prefill_operations(config, 100, 100));
}

}  // namespace
}  // namespace haq::session
