// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/experts/runtime/expert_store.h"

#include "engine/base/error.h"
#include "engine/experts/runtime/runtime.h"

namespace haq::experts {
namespace {

std::size_t owned_bytes(const device::ExpertWeights& weights) {
  std::size_t bytes = 0;
  for (const LinearWeights* each : {&weights.gate, &weights.up, &weights.down}) {
    if (!each->weight.empty() && !each->weight.mapped) bytes += each->weight.bytes();
  }
  return bytes;
}

}  // namespace

ExpertShape shape_of(const nn::Decoder& decoder) {
  ExpertShape shape;
  shape.top_k = decoder.config().top_k;
  for (int layer = 0; layer < decoder.config().layer_count(); ++layer) {
    const auto experts = static_cast<int>(decoder.experts(layer).size());
    if (experts == 0) continue;
    if (shape.layers > 0 && shape.experts != experts) {
      fail(ErrorCode::kUnsupported, "layer {} has {} experts, those before have {}", layer, experts,
           shape.experts);
    }
    shape.experts = experts;
    ++shape.layers;
  }
  return shape;
}

ExpertStore::ExpertStore(const nn::Decoder& decoder)
    : decoder_(decoder), shape_(shape_of(decoder)) {
  for (int layer = 0; layer < decoder.config().layer_count(); ++layer) {
    const bool routed = !decoder.experts(layer).empty();
    routed_layers_.push_back(routed ? static_cast<int>(model_layers_.size()) : -1);
    if (routed) model_layers_.push_back(layer);
  }
  weights_.resize(static_cast<std::size_t>(shape_.total()));
}

const device::FfnSpec& ExpertStore::prepared(ExpertIndex expert) const {
  return decoder_.experts(
      model_layer(shape_.layer_of(expert)))[static_cast<std::size_t>(shape_.expert_of(expert))];
}

void ExpertStore::check_forms() {
  layout_ = device::slot_layout(prepared(0));
  for (ExpertIndex expert = 0; expert < shape_.total(); ++expert) {
    const device::ExpertWeights weights = device::expert_weights(prepared(expert));
    if (device::slot_layout(prepared(expert)) != layout_) {
      fail(ErrorCode::kUnsupported,
           "{}: differs in type or shape from the first expert, so that they cannot share the "
           "slots of a device",
           weights.up_name);
    }
    converted_bytes_ += owned_bytes(weights);
  }
}

std::shared_ptr<const device::ExpertWeights> ExpertStore::get(ExpertIndex expert) {
  auto& weights = weights_[static_cast<std::size_t>(expert)];
  if (weights == nullptr) {
    weights =
        std::make_shared<const device::ExpertWeights>(device::expert_weights(prepared(expert)));
  }
  return weights;
}

}  // namespace haq::experts
