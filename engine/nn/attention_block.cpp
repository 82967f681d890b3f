// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/nn/attention_block.h"

#include <array>

namespace haq::nn {
namespace {

using device::Rows;
using LinearCall = device::Device::LinearCall;

/// The same memory as one row per head.
Rows per_head(const Rows& view, int heads) {
  const std::int64_t dim = view.cols / heads;
  return {view.data, view.rows * heads, dim, dim};
}

void normalize_heads(const Step& step, const Norm& norm, const Rows& view, int heads) {
  if (norm.empty()) return;
  const bool full_row = step.config.qk_norm == model::QkNorm::kFullRow;
  const Rows rows = full_row ? view : per_head(view, heads);
  step.device.rms_norm(rows, static_cast<const float*>(norm.weight->data()), norm.eps, rows);
}

void rotate(const Step& step, const Rows& view, int heads, int offset) {
  const int head_dim = static_cast<int>(view.cols / heads);
  for (const StepSegment& segment : step.segments) {
    if (segment.rotary.dim == 0) continue;
    step.device.rotary(row_range(view, segment.first_row, segment.rows), heads, head_dim, offset,
                       segment.first_position, segment.rotary);
  }
}

void project(const Step& step, const AttentionWeights& weights, device::ConstRows x) {
  const model::ModelConfig& config = step.config;
  const Rows q = step.rows(Workspace::kQuery);
  const Rows k = step.rows(Workspace::kKey);
  const Rows v = step.rows(Workspace::kValue);
  const std::array<LinearCall, 3> calls{LinearCall{weights.q.get(), q},
                                        LinearCall{weights.k.get(), k},
                                        LinearCall{weights.v.get(), v}};
  step.device.linear(x, calls);
  normalize_heads(step, weights.q_norm, q, config.heads);
  normalize_heads(step, weights.k_norm, k, config.kv_heads);
  if (config.clip_qkv) {
    for (const Rows& view : {q, k, v}) step.device.clamp(view, *config.clip_qkv);
  }
  rotate(step, q, config.heads, 0);
  rotate(step, k, config.kv_heads, 0);
}

/// Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434): keys and values come from a
/// low-rank latent; one rotated key part is shared by all heads.
void project_latent(const Step& step, const AttentionWeights& weights, device::ConstRows x) {
  const model::MlaConfig& mla = *step.config.mla;
  const int heads = step.config.heads;
  const std::int64_t k_dim = mla.nope_dim + mla.rope_dim;
  const Rows q = step.rows(Workspace::kQuery);
  const Rows latent = step.rows(Workspace::kLatentKv);
  if (mla.q_lora_rank > 0) {
    const Rows low = step.rows(Workspace::kLatentQ);
    const std::array<LinearCall, 2> calls{LinearCall{weights.q_a.get(), low},
                                          LinearCall{weights.kv_a.get(), latent}};
    step.device.linear(x, calls);
    apply_norm(step.device, weights.q_a_norm, low, low);
    const std::array<LinearCall, 1> expand{LinearCall{weights.q_b.get(), q}};
    step.device.linear(low, expand);
  } else {
    const std::array<LinearCall, 2> calls{LinearCall{weights.q.get(), q},
                                          LinearCall{weights.kv_a.get(), latent}};
    step.device.linear(x, calls);
  }
  const Rows compressed{latent.data, latent.rows, mla.kv_lora_rank, latent.stride};
  const Rows shared_key{latent.data + mla.kv_lora_rank, latent.rows, mla.rope_dim, latent.stride};
  const Rows normed = step.rows(Workspace::kLatentNormed);
  apply_norm(step.device, weights.kv_a_norm, compressed, normed);
  const Rows expanded = step.rows(Workspace::kExpandedKv);
  const std::array<LinearCall, 1> expand{LinearCall{weights.kv_b.get(), expanded}};
  step.device.linear(normed, expand);
  rotate(step, q, heads, mla.nope_dim);
  rotate(step, shared_key, 1, 0);

  const Rows k = step.rows(Workspace::kKey);
  const Rows v = step.rows(Workspace::kValue);
  const std::int64_t pair = mla.nope_dim + mla.v_dim;  // a head's share of an expanded row
  const std::int64_t head_rows = step.tokens * heads;
  step.device.copy({expanded.data, head_rows, mla.nope_dim, pair},
                   {k.data, head_rows, mla.nope_dim, k_dim});
  step.device.copy({expanded.data + mla.nope_dim, head_rows, mla.v_dim, pair},
                   {v.data, head_rows, mla.v_dim, mla.v_dim});
  for (int head = 0; head < heads; ++head) {
    step.device.copy(shared_key,
                     {k.data + head * k_dim + mla.nope_dim, step.tokens, mla.rope_dim, k.stride});
  }
}

void attend(const Step& step, const AttentionWeights& weights, int layer) {
  const Rows q = step.rows(Workspace::kQuery);
  const Rows k = step.rows(Workspace::kKey);
  const Rows v = step.rows(Workspace::kValue);
  const Rows context = step.rows(Workspace::kContext);
  device::AttentionArgs args;
  args.layer = layer;
  args.heads = step.config.heads;
  args.window = step.config.layers[static_cast<std::size_t>(layer)].sliding_window;
  args.scale = static_cast<float>(step.config.attention_scale);
  if (weights.sinks) args.sinks = static_cast<const float*>(weights.sinks->data());
  for (const StepSegment& segment : step.segments) {
    step.device.store_kv(*segment.cache, layer, segment.first_position,
                         row_range(k, segment.first_row, segment.rows),
                         row_range(v, segment.first_row, segment.rows));
    args.q = row_range(q, segment.first_row, segment.rows);
    args.cache = segment.cache;
    args.first_position = segment.first_position;
    args.out = row_range(context, segment.first_row, segment.rows);
    step.device.attention(args);
  }
}

}  // namespace

void attention_block(const Step& step, const AttentionWeights& weights, int layer,
                     device::ConstRows x, device::Rows out) {
  if (step.config.mla) {
    project_latent(step, weights, x);
  } else {
    project(step, weights, x);
  }
  attend(step, weights, layer);
  const std::array<LinearCall, 1> output{LinearCall{weights.o.get(), out}};
  step.device.linear(step.rows(Workspace::kContext), output);
}

}  // namespace haq::nn
