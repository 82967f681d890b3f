// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/device/slots.h"

#include "engine/base/error.h"

namespace haq::device {
namespace {

constexpr std::size_t kAlignment = 64;

std::size_t aligned(std::size_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

const LinearWeights& host_weights(const std::shared_ptr<const Linear>& linear) {
  if (linear == nullptr) fail(ErrorCode::kInternal, "An expert without one of its matrices.");
  const LinearWeights* weights = linear->host_weights();
  if (weights == nullptr) {
    fail(ErrorCode::kUnsupported,
         "{}: the device that holds this expert keeps no copy of it in host memory, so that it "
         "cannot be cached on another.",
         linear->name());
  }
  return *weights;
}

}  // namespace

ExpertWeights expert_weights(const FfnSpec& ffn) {
  ExpertWeights weights;
  if (ffn.gate != nullptr) {
    weights.gate = host_weights(ffn.gate);
    weights.gate_name = ffn.gate->name();
  }
  weights.up = host_weights(ffn.up);
  weights.up_name = ffn.up->name();
  weights.down = host_weights(ffn.down);
  weights.down_name = ffn.down->name();
  return weights;
}

SlotLayout slot_layout(const FfnSpec& ffn) {
  const SlotLayout layout =
      slot_layout(expert_weights(ffn), ffn.up->path(), ffn.activation, ffn.limit);
  if (ffn.down->path() != layout.path || (ffn.gate && ffn.gate->path() != layout.path)) {
    fail(ErrorCode::kUnsupported, "{}: the matrices of this expert are computed in different ways.",
         ffn.up->name());
  }
  return layout;
}

SlotLayout slot_layout(const ExpertWeights& weights, LinearPath path, Activation activation,
                       float limit) {
  SlotLayout layout;
  layout.path = path;
  layout.dtype = weights.up.weight.dtype;
  layout.activation = activation;
  layout.limit = limit;
  layout.hidden = weights.up.in();
  layout.inner = weights.up.out();
  layout.gate = !weights.gate.weight.empty();
  layout.bias = !weights.up.bias.empty();
  const auto same = [&](const LinearWeights& w, std::int64_t out, std::int64_t in) {
    return w.weight.dtype == layout.dtype && w.out() == out && w.in() == in &&
           w.bias.empty() != layout.bias;
  };
  if (!same(weights.down, layout.hidden, layout.inner) ||
      (layout.gate && !same(weights.gate, layout.inner, layout.hidden))) {
    fail(ErrorCode::kUnsupported,
         "{}: the matrices of this expert differ in type, shape or bias, so that it fits no slot.",
         weights.up_name.empty() ? "An expert" : weights.up_name);
  }
  return layout;
}

SlotParts slot_parts(const SlotLayout& layout) {
  SlotParts parts;
  const auto place = [&](SlotParts::Matrix& matrix, std::int64_t out, std::int64_t in) {
    const auto rows = static_cast<std::size_t>(out);
    matrix.out = out;
    matrix.in = in;
    matrix.weight = parts.bytes;
    parts.bytes += aligned(rows * static_cast<std::size_t>(in) * size_of(layout.dtype));
    if (layout.dtype == DType::kI8) {
      matrix.scale = parts.bytes;
      parts.bytes += aligned(rows * sizeof(float));
    }
    if (layout.bias) {
      matrix.bias = parts.bytes;
      parts.bytes += aligned(rows * sizeof(float));
    }
  };
  if (layout.gate) place(parts.gate, layout.inner, layout.hidden);
  place(parts.up, layout.inner, layout.hidden);
  place(parts.down, layout.hidden, layout.inner);
  return parts;
}

std::size_t SlotLayout::bytes() const {
  return slot_parts(*this).bytes;
}

}  // namespace haq::device
