// SPDX-License-Identifier: GPL-3.0-or-later
#include <algorithm>
#include <atomic>
#include <cmath>
#include <functional>
#include <limits>
#include <new>
#include <utility>

#include "engine/base/error.h"
#include "engine/device/host/host_impl.h"
#include "engine/device/host/top_search.h"

namespace haq::device::host {
namespace {

/// Outputs estimated or computed at a time by one thread.
constexpr std::int64_t kOutputs = 256;
constexpr float kOut = -std::numeric_limits<float>::infinity();

/// Estimates of outputs and how far off they may be.
struct Estimates {
  const TopQuery& query;
  const HostTopSearch& search;
  float* values;  ///< [out]

  float bound(std::int64_t n) const {
    const float bound = query.by_scale * search.scale()[n] + query.by_error * search.error()[n] +
                        query.by_norm * search.norm()[n];
    // And the roundings of this sum, of the estimate's own and of a bias, and underflow.
    return bound * (1 + 0x1p-20F) + std::fabs(values[n]) * 0x1p-20F +
           std::numeric_limits<float>::min();
  }
};

/// The top-th largest of what all threads have seen, a little lowered; -inf if there are fewer.
float threshold_of(const std::vector<Largest>& threads, int top) {
  std::vector<float> all;
  for (const Largest& largest : threads) {
    all.insert(all.end(), largest.values().begin(), largest.values().end());
  }
  if (all.size() < static_cast<std::size_t>(top)) return kOut;
  std::nth_element(all.begin(), all.begin() + (top - 1), all.end(), std::greater<>());
  const float value = all[static_cast<std::size_t>(top) - 1];
  return value - std::fabs(value) * 0x1p-19F;
}

}  // namespace

std::shared_ptr<const TopSearch> HostDevice::prepare_top(std::shared_ptr<const Linear> linear) {
  const HostLinear& layer = as_host(*linear);
  check(layer.path() == LinearPath::kFixedOrder, "prepare_top", "not a fixed-order layer");
  if (layer.in() > 131072) return nullptr;  // int8 sums are exact up to there
  std::shared_ptr<HostTopSearch> search;
  try {
    search = std::make_shared<HostTopSearch>(std::move(linear));
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
  std::atomic<bool> finite{true};
  const auto body = [&](std::int64_t unit, int thread) {
    if (!finite.load(std::memory_order_relaxed)) return;
    auto* room = threads_[static_cast<std::size_t>(thread)].input.get<float>(
        static_cast<std::size_t>(layer.in()));
    const std::int64_t begin = unit * kOutputs;
    const std::int64_t end = std::min(begin + kOutputs, layer.out());
    if (!search->fill(kernels_, begin, end, room)) finite.store(false, std::memory_order_relaxed);
  };
  pool_.parallel_dynamic((layer.out() + kOutputs - 1) / kOutputs, std::ref(body));
  return finite.load() ? search : nullptr;
}

std::int64_t HostDevice::linear_top(ConstRows x, const TopSearch& search, int top, Rows out) {
  const auto* own = dynamic_cast<const HostTopSearch*>(&search);
  check(own != nullptr, "linear_top", "a search of another device");
  const HostLinear& layer = own->linear();
  check(x.rows == 1 && x.cols == layer.in() && out.rows == 1 && out.cols == layer.out(),
        "linear_top", "shape mismatch");
  check(top >= 1, "linear_top", "top below 1");
  const std::int64_t outputs = layer.out(), units = (outputs + kOutputs - 1) / kOutputs;
  const auto everything = [&] {
    const LinearCall call{&layer, out};
    linear(x, std::span(&call, 1));
    return outputs;
  };

  TopQuery query;
  query.stride = (x.cols + 63) / 64 * 64;
  query.bytes = input_.int8.get<std::int8_t>(static_cast<std::size_t>(2 * query.stride));
  float* room = input_.rounded.get<float>(static_cast<std::size_t>(x.cols));
  if (top >= outputs || !query.make(kernels_, x.data, x.cols, room)) return everything();

  const Estimates estimates{query, *own, out.data};
  top_.resize(threads_.size());
  for (Largest& largest : top_) largest.reset(top);
  const auto estimate = [&](std::int64_t unit, int thread) {
    const std::int64_t begin = unit * kOutputs, end = std::min(begin + kOutputs, outputs);
    float both[2 * kOutputs];  // what each of the query's rows gives
    Int8GemmArgs a;
    a.x = query.bytes;
    a.x_stride = query.stride;
    a.x_scale = query.scale;
    a.x_sum = query.sum;
    a.m = 2;
    a.w = own->weights();
    a.k = x.cols;
    a.n_begin = begin;
    a.n_end = end;
    a.w_scale = own->scale();
    a.out = both - begin;
    a.out_stride = kOutputs;
    int8_.gemm(a);
    Largest& largest = top_[static_cast<std::size_t>(thread)];
    for (std::int64_t n = begin; n < end; ++n) {
      const float bias = layer.bias() != nullptr ? layer.bias()[n] : 0;
      out.data[n] = both[n - begin] + both[kOutputs + n - begin] + bias;
      largest.add(out.data[n] - estimates.bound(n));
    }
  };
  pool_.parallel_dynamic(units, std::ref(estimate));

  const float threshold = threshold_of(top_, top);
  if (!std::isfinite(threshold)) return everything();
  std::atomic<std::int64_t> computed{0};
  std::atomic<bool> finite{true};
  const auto compute = [&](std::int64_t unit, int) {
    const std::int64_t begin = unit * kOutputs, end = std::min(begin + kOutputs, outputs);
    std::int64_t count = 0;
    for (std::int64_t n = begin; n < end; ++n) {
      // Written so that an estimate that is not a number counts as one that may be the largest.
      if (out.data[n] + estimates.bound(n) < threshold) {
        out.data[n] = kOut;
        continue;
      }
      ++count;
      GemmArgs a;
      a.x = x.data;
      a.x_stride = x.stride;
      a.m = 1;
      a.w = layer.data();
      a.k = layer.in();
      a.n_begin = n;
      a.n_end = n + 1;
      a.bias = layer.bias();
      a.out = out.data;
      a.out_stride = out.stride;
      (layer.dtype() == DType::kBF16 ? kernels_.gemm_bf16 : kernels_.gemm_f32)(a);
      if (!std::isfinite(out.data[n])) finite.store(false, std::memory_order_relaxed);
    }
    computed.fetch_add(count, std::memory_order_relaxed);
  };
  pool_.parallel_dynamic(units, std::ref(compute));
  return finite.load() ? computed.load() : everything();
}

}  // namespace haq::device::host
