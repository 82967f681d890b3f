// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/nn/ffn_block.h"

#include <array>
#include <numeric>

namespace haq::nn {
namespace {

using device::ConstRows;
using device::Rows;
using LinearCall = device::Device::LinearCall;

device::RouterRule rule_of(model::RouterKind kind) {
  switch (kind) {
    case model::RouterKind::kTopKThenSoftmax:
      return device::RouterRule::kTopKThenSoftmax;
    case model::RouterKind::kSparseMixer:
      return device::RouterRule::kSparseMixer;
    case model::RouterKind::kSoftmaxThenTopK:
      break;
  }
  return device::RouterRule::kSoftmaxThenTopK;
}

}  // namespace

device::RouterArgs router_args(const model::ModelConfig& config) {
  device::RouterArgs args;
  args.rule = rule_of(config.router);
  args.top_k = config.top_k;
  args.normalize = config.norm_topk;
  args.jitter = config.router_jitter;
  args.scale = config.routed_scale;
  return args;
}

FfnBlock::FfnBlock(const model::ModelConfig& config, ExpertRunner& default_runner)
    : config_(config), default_runner_(default_runner) {}

void FfnBlock::run(const Step& step, const LayerWeights& weights, int layer, ConstRows x, Rows out,
                   const Observer* observer) {
  if (!weights.router) {
    dense(step, weights.dense, x, out);
    return;
  }
  const bool with_logits = observer != nullptr && observer->routed && observer->hidden;
  route(step, weights, x, with_logits);
  const auto choices = static_cast<std::size_t>(step.tokens * config_.top_k);
  RoutedStep routed;
  routed.layer = layer;
  routed.tokens = step.tokens;
  routed.top_k = config_.top_k;
  routed.ids = std::span(ids_).first(choices);
  routed.weights = std::span(weights_).first(choices);
  routed.decode = step.decode;
  routed.cancel = step.cancel;
  if (with_logits) routed.router_logits = router_logits_;
  if (observer != nullptr && observer->routed) observer->routed(routed);

  const Rows slots = step.rows(Workspace::kChoices);
  (runner_ != nullptr ? *runner_ : default_runner_).run(routed, x, slots);
  step.device.combine(slots, weights_.data(), config_.top_k, out);
  if (weights.shared.up) add_shared(step, weights, x, out);
}

void FfnBlock::dense(const Step& step, const device::FfnSpec& ffn, ConstRows x, Rows out) {
  const auto tokens = static_cast<std::size_t>(step.tokens);
  if (all_rows_.size() < tokens) {
    all_rows_.resize(tokens);
    std::iota(all_rows_.begin(), all_rows_.end(), 0);
  }
  const std::span<const std::int32_t> rows = std::span(all_rows_).first(tokens);
  const std::array<device::FfnGroup, 1> group{device::FfnGroup{&ffn, rows, rows}};
  step.device.ffn(x, group, out);
}

void FfnBlock::route(const Step& step, const LayerWeights& weights, ConstRows x, bool with_logits) {
  const Rows logits = step.rows(Workspace::kRouter);
  const std::array<LinearCall, 1> gate{LinearCall{weights.router.get(), logits}};
  step.device.linear(x, gate);
  const auto choices = static_cast<std::size_t>(step.tokens * config_.top_k);
  if (ids_.size() < choices) {
    ids_.resize(choices);
    weights_.resize(choices);
  }
  device::RouterArgs args = router_args(config_);
  args.logits = logits;
  args.ids = ids_.data();
  args.weights = weights_.data();
  step.device.route(args);
  if (!with_logits) return;
  router_logits_.resize(static_cast<std::size_t>(logits.rows * logits.cols));
  step.device.copy_to_host(router_logits_.data(), logits.data,
                           router_logits_.size() * sizeof(float));
}

void FfnBlock::add_shared(const Step& step, const LayerWeights& weights, ConstRows x, Rows out) {
  const Rows shared = step.rows(Workspace::kShared);
  dense(step, weights.shared, x, shared);
  if (weights.shared_gate) {
    const Rows gate = step.rows(Workspace::kSharedGate);
    const std::array<LinearCall, 1> call{LinearCall{weights.shared_gate.get(), gate}};
    step.device.linear(x, call);
    step.device.scale_rows_sigmoid(shared, gate);
  }
  step.device.add_scaled(out, shared, 1);
}

}  // namespace haq::nn
