// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/quant/layers/tap_device.h"

namespace haq::quant {

using device::ConstRows;
using device::Rows;

std::unique_ptr<device::Buffer> TapDevice::allocate(std::size_t bytes) {
  return inner_.allocate(bytes);
}

void TapDevice::copy_to_device(void* destination, const void* source, std::size_t bytes) {
  inner_.copy_to_device(destination, source, bytes);
}

void TapDevice::copy_to_host(void* destination, const void* source, std::size_t bytes) {
  inner_.copy_to_host(destination, source, bytes);
}

std::shared_ptr<const device::Linear> TapDevice::prepare(const LinearWeights& weights,
                                                         device::LinearPath path,
                                                         const std::string& name) {
  return inner_.prepare(weights, path, name);
}

std::unique_ptr<device::KvCache> TapDevice::make_kv_cache(const device::KvLayout& layout) {
  return inner_.make_kv_cache(layout);
}

void TapDevice::embed(const device::Linear& table, std::span<const std::int32_t> ids,
                      float multiplier, Rows out) {
  inner_.embed(table, ids, multiplier, out);
}

void TapDevice::rms_norm(ConstRows x, const float* weight, float eps, Rows out) {
  inner_.rms_norm(x, weight, eps, out);
}

void TapDevice::layer_norm(ConstRows x, const float* weight, const float* bias, float eps,
                           Rows out) {
  inner_.layer_norm(x, weight, bias, eps, out);
}

void TapDevice::linear(ConstRows x, std::span<const LinearCall> calls) {
  for (const LinearCall& call : calls) {
    const auto tap = taps_.find(call.linear);
    if (tap == taps_.end()) continue;
    inner_.synchronize();
    tap->second(x);
  }
  inner_.linear(x, calls);
}

void TapDevice::rotary(Rows x, int heads, int head_dim, int offset, std::int64_t first_position,
                       const device::RotaryTable& table) {
  inner_.rotary(x, heads, head_dim, offset, first_position, table);
}

void TapDevice::store_kv(device::KvCache& cache, int layer, std::int64_t first_position,
                         ConstRows k, ConstRows v) {
  inner_.store_kv(cache, layer, first_position, k, v);
}

void TapDevice::add_scaled(Rows x, ConstRows y, float factor) {
  inner_.add_scaled(x, y, factor);
}

void TapDevice::scale_rows_sigmoid(Rows x, ConstRows gate) {
  inner_.scale_rows_sigmoid(x, gate);
}

void TapDevice::ffn(ConstRows x, std::span<const device::FfnGroup> groups, Rows out) {
  inner_.ffn(x, groups, out);
}

void TapDevice::combine(ConstRows slots, const float* weights, int top_k, Rows y) {
  inner_.combine(slots, weights, top_k, y);
}

}  // namespace haq::quant
