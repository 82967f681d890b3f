// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/session/bench_shapes.h"

#include <algorithm>

namespace haq::session {

namespace {

class ShapeList {
 public:
  void add(const char* name, std::int64_t m, std::int64_t n, std::int64_t k,
           std::int64_t count = 1) {
    if (m < 1 || n < 1 || k < 1 || count < 1) return;
    for (GemmShape& shape : shapes_) {
      if (shape.m == m && shape.n == n && shape.k == k) {
        shape.count += count;
        return;
      }
    }
    shapes_.push_back({name, m, n, k, count});
  }
  std::vector<GemmShape> take() { return std::move(shapes_); }

 private:
  std::vector<GemmShape> shapes_;
};

void add_attention(const model::ModelConfig& config, std::int64_t tokens, ShapeList& list) {
  const std::int64_t q = std::int64_t{config.heads} * config.head_dim;
  const std::int64_t out = std::int64_t{config.heads} * config.v_head_dim;
  if (config.mla) {
    const model::MlaConfig& mla = *config.mla;
    if (mla.q_lora_rank > 0) {
      list.add("q a", tokens, mla.q_lora_rank, config.hidden);
      list.add("q b", tokens, q, mla.q_lora_rank);
    } else {
      list.add("q", tokens, q, config.hidden);
    }
    list.add("kv a", tokens, mla.kv_lora_rank + mla.rope_dim, config.hidden);
    list.add("kv b", tokens, std::int64_t{config.heads} * (mla.nope_dim + mla.v_dim),
             mla.kv_lora_rank);
  } else {
    list.add("q", tokens, q, config.hidden);
    list.add("k, v", tokens, std::int64_t{config.kv_heads} * config.head_dim, config.hidden);
    list.add("k, v", tokens, std::int64_t{config.kv_heads} * config.v_head_dim, config.hidden);
  }
  list.add("o", tokens, config.hidden, out);
}

void add_ffn(const model::ModelConfig& config, const model::LayerConfig& layer, std::int64_t tokens,
             ShapeList& list) {
  const bool gated = config.ffn != model::FfnKind::kRelu;
  const auto ffn = [&](const char* in, const char* out, std::int64_t rows, std::int64_t width,
                       std::int64_t count) {
    list.add(in, rows, width, config.hidden, count * (gated ? 2 : 1));
    list.add(out, rows, config.hidden, width, count);
  };
  if (!layer.moe) {
    ffn("ffn in", "ffn out", tokens, layer.ffn_width, 1);
    return;
  }
  // Even spread: every expert in use gets the same number of rows.
  const std::int64_t pairs = tokens * config.top_k;
  const std::int64_t used = std::min<std::int64_t>(config.experts, pairs);
  ffn("experts in", "experts out", (pairs + used - 1) / used, layer.ffn_width, used);
  if (config.shared_width > 0) ffn("shared in", "shared out", tokens, config.shared_width, 1);
}

}  // namespace

std::vector<GemmShape> prefill_shapes(const model::ModelConfig& config, std::int64_t tokens) {
  ShapeList list;
  for (const model::LayerConfig& layer : config.layers) {
    add_attention(config, tokens, list);
    add_ffn(config, layer, tokens, list);
  }
  return list.take();
}

double prefill_operations(const model::ModelConfig& config, std::int64_t tokens, int chunk) {
  double operations = 0;
  for (std::int64_t done = 0; done < tokens; done += chunk) {
    for (const GemmShape& shape :
         prefill_shapes(config, std::min<std::int64_t>(chunk, tokens - done))) {
      operations += shape.operations();
    }
  }
  return operations;
}

}  // namespace haq::session
