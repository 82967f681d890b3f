// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <vector>

#include "engine/nn/step.h"

namespace haq::nn {

/// How the configuration routes; the caller fills in logits, ids and weights.
device::RouterArgs router_args(const model::ModelConfig& config);

/// The feed-forward half of a layer: one dense network, or a router, its chosen experts and the
/// shared expert. Keeps host scratch (routing results) between steps, so use one object per
/// decoder.
class FfnBlock {
 public:
  FfnBlock(const model::ModelConfig& config, ExpertRunner& default_runner);

  /// x [T, hidden] -> out [T, hidden]. `layer` numbers the decoder layer. The observer's `routed`
  /// is called before the experts run.
  void run(const Step& step, const LayerWeights& weights, int layer, device::ConstRows x,
           device::Rows out, const Observer* observer);

  void set_runner(ExpertRunner* runner) { runner_ = runner; }  ///< null: the default

 private:
  void dense(const Step& step, const device::FfnSpec& ffn, device::ConstRows x, device::Rows out);
  void route(const Step& step, const LayerWeights& weights, device::ConstRows x, bool with_logits);
  void add_shared(const Step& step, const LayerWeights& weights, device::ConstRows x,
                  device::Rows out);

  const model::ModelConfig& config_;
  ExpertRunner& default_runner_;
  ExpertRunner* runner_ = nullptr;
  std::vector<std::int32_t> all_rows_;  // 0, 1, 2 ...
  std::vector<std::int32_t> ids_;       // [T, top_k]
  std::vector<float> weights_;          // [T, top_k]
  std::vector<float> router_logits_;    // [T, experts], only for observers
};

}  // namespace haq::nn
