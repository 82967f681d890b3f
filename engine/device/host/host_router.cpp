// SPDX-License-Identifier: GPL-3.0-or-later
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "engine/base/error.h"
#include "engine/device/host/host_impl.h"
#include "engine/device/numerics.h"

namespace haq::device::host {
namespace {

/// Ids of the k largest, larger first, equal ones by lower id. All logits are finite.
void choose(const float* logits, int experts, int k, std::int32_t* ids) {
  for (int c = 0; c < k; ++c) {
    std::int32_t best = -1;
    for (std::int32_t e = 0; e < experts; ++e) {
      if (best >= 0 && !(logits[e] > logits[best])) continue;
      if (std::find(ids, ids + c, e) != ids + c) continue;
      best = e;
    }
    ids[c] = best;
  }
}

/// Phi-3.5-MoE: each choice is the largest of the experts left; its weight is its share in a
/// softmax over those left whose logit lies within a relative distance of 2 * jitter from it.
void sparse_mixer(const KernelTable& kernels, const float* logits, int experts, float jitter, int k,
                  std::int32_t* ids, float* weights, std::vector<float>& kept) {
  choose(logits, experts, k, ids);
  for (int c = 0; c < k; ++c) {
    const float top = logits[ids[c]];
    kept.assign(logits, logits + experts);
    for (int earlier = 0; earlier < c; ++earlier) {
      kept[static_cast<std::size_t>(ids[earlier])] = -std::numeric_limits<float>::infinity();
    }
    for (int e = 0; e < experts; ++e) {
      const float factor = std::max(std::fabs(logits[e]), top);
      if ((top - logits[e]) / factor > 2.0F * jitter) {
        kept[static_cast<std::size_t>(e)] = -std::numeric_limits<float>::infinity();
      }
    }
    kernels.softmax(kept.data(), experts);
    weights[c] = kept[static_cast<std::size_t>(ids[c])];
  }
}

}  // namespace

void HostDevice::route(const RouterArgs& args) {
  const auto experts = static_cast<int>(args.logits.cols);
  const int k = args.top_k;
  check(k > 0 && k <= experts && args.ids != nullptr && args.weights != nullptr, "route",
        "shape mismatch");
  std::vector<float> row;
  for (std::int64_t t = 0; t < args.logits.rows; ++t) {
    const float* logits = args.logits.data + t * args.logits.stride;
    std::int32_t* ids = args.ids + t * k;
    float* weights = args.weights + t * k;
    for (int e = 0; e < experts; ++e) {
      if (!std::isfinite(logits[e])) {
        fail(ErrorCode::kNumeric, "Router: the logit of expert {} for row {} is not finite.", e, t);
      }
    }
    if (args.rule == RouterRule::kSparseMixer) {
      sparse_mixer(kernels_, logits, experts, args.jitter, k, ids, weights, row);
    } else {
      choose(logits, experts, k, ids);
      if (args.rule == RouterRule::kSoftmaxThenTopK) {
        row.assign(logits, logits + experts);
        kernels_.softmax(row.data(), experts);
        for (int c = 0; c < k; ++c) weights[c] = row[static_cast<std::size_t>(ids[c])];
      } else {
        for (int c = 0; c < k; ++c) weights[c] = logits[ids[c]];
        kernels_.softmax(weights, k);
      }
    }
    if (args.normalize) {
      const float total = kernels_.sum(weights, k);
      for (int c = 0; c < k; ++c) weights[c] = num::div(weights[c], total);
    }
    kernels_.scale(weights, args.scale, k);
  }
}

}  // namespace haq::device::host
