// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>

#include "engine/device/device.h"

namespace haq::quant {

/// A device that does everything on another one and shows what chosen linear layers read. So the
/// blocks of engine/nn can be observed as they are, whatever the architecture.
class TapDevice final : public device::Device {
 public:
  using Tap = std::function<void(device::ConstRows input)>;

  explicit TapDevice(device::Device& inner) : inner_(inner) {}
  /// `tap` is called with the input rows, in device memory and complete, before each product of
  /// this layer. The layer is one of the inner device.
  void watch(const device::Linear& linear, Tap tap) { taps_[&linear] = std::move(tap); }

  device::DeviceInfo info() const override { return inner_.info(); }
  std::unique_ptr<device::Buffer> allocate(std::size_t bytes) override;
  void copy_to_device(void* destination, const void* source, std::size_t bytes) override;
  void copy_to_host(void* destination, const void* source, std::size_t bytes) override;
  void synchronize() override { inner_.synchronize(); }
  std::shared_ptr<const device::Linear> prepare(const LinearWeights& weights,
                                                device::LinearPath path,
                                                const std::string& name) override;
  std::unique_ptr<device::KvCache> make_kv_cache(const device::KvLayout& layout) override;
  void embed(const device::Linear& table, std::span<const std::int32_t> ids, float multiplier,
             device::Rows out) override;
  void rms_norm(device::ConstRows x, const float* weight, float eps, device::Rows out) override;
  void layer_norm(device::ConstRows x, const float* weight, const float* bias, float eps,
                  device::Rows out) override;
  void linear(device::ConstRows x, std::span<const LinearCall> calls) override;
  void rotary(device::Rows x, int heads, int head_dim, int offset, std::int64_t first_position,
              const device::RotaryTable& table) override;
  void store_kv(device::KvCache& cache, int layer, std::int64_t first_position, device::ConstRows k,
                device::ConstRows v) override;
  void attention(const device::AttentionArgs& args) override { inner_.attention(args); }
  void add_scaled(device::Rows x, device::ConstRows y, float factor) override;
  void clamp(device::Rows x, float limit) override { inner_.clamp(x, limit); }
  void scale(device::Rows x, float factor) override { inner_.scale(x, factor); }
  void scale_rows_sigmoid(device::Rows x, device::ConstRows gate) override;
  void copy(device::ConstRows x, device::Rows out) override { inner_.copy(x, out); }
  void route(const device::RouterArgs& args) override { inner_.route(args); }
  void ffn(device::ConstRows x, std::span<const device::FfnGroup> groups,
           device::Rows out) override;
  void combine(device::ConstRows slots, const float* weights, int top_k, device::Rows y) override;

 private:
  device::Device& inner_;
  std::map<const device::Linear*, Tap> taps_;
};

}  // namespace haq::quant
