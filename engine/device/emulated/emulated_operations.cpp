// SPDX-License-Identifier: GPL-3.0-or-later
// The operations: addresses are translated and what the caller may reuse is copied while the work
// is submitted; the worker then calls the host device, which checks shapes.

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "engine/base/error.h"
#include "engine/device/emulated/emulated_impl.h"

namespace haq::device::emulated {
namespace {

const std::shared_ptr<const Linear>& host_of(const Linear& linear) {
  const auto* emulated = dynamic_cast<const EmulatedLinear*>(&linear);
  if (emulated == nullptr) {
    fail(ErrorCode::kInternal, "{}: a layer of another device on the emulated device.",
         linear.name());
  }
  return emulated->host();
}

EmulatedKvCache& as_emulated(KvCache* cache) {
  auto* emulated = dynamic_cast<EmulatedKvCache*>(cache);
  if (emulated == nullptr) fail(ErrorCode::kInternal, "A KV cache of another device.");
  return *emulated;
}

}  // namespace

const float* EmulatedDevice::on_host(const float* values, std::int64_t count,
                                     const char* operation) const {
  if (values == nullptr || count <= 0) return nullptr;
  return reinterpret_cast<const float*>(
      addresses_.host(values, static_cast<std::size_t>(count) * sizeof(float), operation));
}

ConstRows EmulatedDevice::on_host(ConstRows rows, const char* operation) const {
  if (rows.rows < 0 || rows.cols < 0 || rows.stride < 0) {
    fail(ErrorCode::kInternal, "{}: rows with a negative size.", operation);
  }
  const std::int64_t count =
      rows.rows == 0 || rows.cols == 0 ? 0 : (rows.rows - 1) * rows.stride + rows.cols;
  return {on_host(rows.data, count, operation), rows.rows, rows.cols, rows.stride};
}

Rows EmulatedDevice::on_host(Rows rows, const char* operation) const {
  const ConstRows r = on_host(ConstRows(rows), operation);
  return {const_cast<float*>(r.data), r.rows, r.cols, r.stride};
}

void EmulatedDevice::embed(const Linear& table, std::span<const std::int32_t> ids, float multiplier,
                           Rows out) {
  out = on_host(out, "embed");
  queue_.submit(
      [=, this, table = host_of(table), ids = std::vector<std::int32_t>(ids.begin(), ids.end())] {
        host_->embed(*table, ids, multiplier, out);
      });
}

void EmulatedDevice::rms_norm(ConstRows x, const float* weight, float eps, Rows out) {
  weight = on_host(weight, x.cols, "rms_norm");
  x = on_host(x, "rms_norm");
  out = on_host(out, "rms_norm");
  queue_.submit([=, this] { host_->rms_norm(x, weight, eps, out); });
}

void EmulatedDevice::layer_norm(ConstRows x, const float* weight, const float* bias, float eps,
                                Rows out) {
  weight = on_host(weight, x.cols, "layer_norm");
  bias = on_host(bias, x.cols, "layer_norm");
  x = on_host(x, "layer_norm");
  out = on_host(out, "layer_norm");
  queue_.submit([=, this] { host_->layer_norm(x, weight, bias, eps, out); });
}

void EmulatedDevice::linear(ConstRows x, std::span<const LinearCall> calls) {
  x = on_host(x, "linear");
  std::vector<std::shared_ptr<const Linear>> layers;
  std::vector<Rows> outs;
  for (const LinearCall& call : calls) {
    layers.push_back(host_of(*call.linear));
    outs.push_back(on_host(call.out, "linear"));
  }
  queue_.submit([=, this] {
    std::vector<LinearCall> translated;
    for (std::size_t i = 0; i < layers.size(); ++i) {
      translated.push_back({layers[i].get(), outs[i]});
    }
    host_->linear(x, translated);
  });
}

void EmulatedDevice::rotary(Rows x, int heads, int head_dim, int offset,
                            std::int64_t first_position, const RotaryTable& table) {
  x = on_host(x, "rotary");
  RotaryTable on = table;
  const std::int64_t count = table.length * (table.dim / 2);
  on.cos = on_host(table.cos, count, "rotary");
  on.sin = on_host(table.sin, count, "rotary");
  queue_.submit([=, this] { host_->rotary(x, heads, head_dim, offset, first_position, on); });
}

void EmulatedDevice::store_kv(KvCache& cache, int layer, std::int64_t first_position, ConstRows k,
                              ConstRows v) {
  host::HostKvCache* to = &as_emulated(&cache).host();
  k = on_host(k, "store_kv");
  v = on_host(v, "store_kv");
  queue_.submit([=, this] { host_->store_kv(*to, layer, first_position, k, v); });
}

void EmulatedDevice::attention(const AttentionArgs& args) {
  AttentionArgs on = args;
  on.cache = &as_emulated(args.cache).host();
  on.q = on_host(args.q, "attention");
  on.out = on_host(args.out, "attention");
  on.sinks = on_host(args.sinks, args.heads, "attention");
  queue_.submit([=, this] { host_->attention(on); });
}

void EmulatedDevice::add_scaled(Rows x, ConstRows y, float factor) {
  x = on_host(x, "add_scaled");
  y = on_host(y, "add_scaled");
  queue_.submit([=, this] { host_->add_scaled(x, y, factor); });
}

void EmulatedDevice::clamp(Rows x, float limit) {
  x = on_host(x, "clamp");
  queue_.submit([=, this] { host_->clamp(x, limit); });
}

void EmulatedDevice::scale(Rows x, float factor) {
  x = on_host(x, "scale");
  queue_.submit([=, this] { host_->scale(x, factor); });
}

void EmulatedDevice::scale_rows_sigmoid(Rows x, ConstRows gate) {
  x = on_host(x, "scale_rows_sigmoid");
  gate = on_host(gate, "scale_rows_sigmoid");
  queue_.submit([=, this] { host_->scale_rows_sigmoid(x, gate); });
}

void EmulatedDevice::copy(ConstRows x, Rows out) {
  x = on_host(x, "copy");
  out = on_host(out, "copy");
  queue_.submit([=, this] { host_->copy(x, out); });
}

void EmulatedDevice::route(const RouterArgs& args) {
  RouterArgs on = args;
  on.logits = on_host(args.logits, "route");
  queue_.submit([=, this] { host_->route(on); });
  queue_.wait();
}

void EmulatedDevice::ffn(ConstRows x, std::span<const FfnGroup> groups, Rows out) {
  x = on_host(x, "ffn");
  out = on_host(out, "ffn");
  struct Work {
    std::vector<FfnSpec> specs;
    std::vector<std::int32_t> numbers;  ///< rows and slots of all groups
    std::vector<FfnGroup> groups;
  };
  auto work = std::make_shared<Work>();
  std::size_t count = 0;
  for (const FfnGroup& group : groups) {
    FfnSpec spec = *group.ffn;
    for (std::shared_ptr<const Linear>* linear : {&spec.gate, &spec.up, &spec.down}) {
      if (*linear != nullptr) *linear = host_of(**linear);
    }
    work->specs.push_back(std::move(spec));
    count += group.rows.size() + group.slots.size();
  }
  work->numbers.reserve(count);  // spans into it stay valid
  const auto keep = [&](std::span<const std::int32_t> values) {
    const std::size_t first = work->numbers.size();
    work->numbers.insert(work->numbers.end(), values.begin(), values.end());
    return std::span<const std::int32_t>(work->numbers).subspan(first, values.size());
  };
  for (std::size_t i = 0; i < groups.size(); ++i) {
    work->groups.push_back({&work->specs[i], keep(groups[i].rows), keep(groups[i].slots)});
  }
  queue_.submit([=, this] { host_->ffn(x, work->groups, out); });
}

void EmulatedDevice::combine(ConstRows slots, const float* weights, int top_k, Rows y) {
  slots = on_host(slots, "combine");
  y = on_host(y, "combine");
  const auto count = static_cast<std::size_t>(std::max<std::int64_t>(0, y.rows * top_k));
  queue_.submit([=, this, weights = std::vector<float>(weights, weights + count)] {
    host_->combine(slots, weights.data(), top_k, y);
  });
}

}  // namespace haq::device::emulated
