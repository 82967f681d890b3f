// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "engine/device/emulated/emulated_device.h"
#include "engine/device/emulated/link.h"
#include "engine/device/emulated/memory.h"
#include "engine/device/emulated/work_queue.h"
#include "engine/device/host/kv_cache.h"

namespace haq::device::emulated {

/// Weights on the emulated device: those of the host device that does its computing.
class EmulatedLinear final : public Linear {
 public:
  EmulatedLinear(std::shared_ptr<const Linear> host, Budget::Charge charge)
      : host_(std::move(host)), charge_(std::move(charge)) {}

  std::int64_t in() const override { return host_->in(); }
  std::int64_t out() const override { return host_->out(); }
  LinearPath path() const override { return host_->path(); }
  const std::string& name() const override { return host_->name(); }
  std::size_t packed_bytes() const override { return host_->packed_bytes(); }
  std::size_t weight_bytes() const override { return host_->weight_bytes(); }

  const std::shared_ptr<const Linear>& host() const { return host_; }

 private:
  std::shared_ptr<const Linear> host_;
  Budget::Charge charge_;
};

class EmulatedDevice final : public SlotDevice,
                             public std::enable_shared_from_this<EmulatedDevice> {
 public:
  explicit EmulatedDevice(const EmulatedOptions& options);

  DeviceInfo info() const override;
  std::unique_ptr<Buffer> allocate(std::size_t bytes) override;
  void copy_to_device(void* destination, const void* source, std::size_t bytes) override;
  void copy_to_host(void* destination, const void* source, std::size_t bytes) override;
  void synchronize() override { queue_.wait(); }
  std::shared_ptr<const Linear> prepare(const LinearWeights& weights, LinearPath path,
                                        const std::string& name) override;
  std::unique_ptr<KvCache> make_kv_cache(const KvLayout& layout) override;

  void embed(const Linear& table, std::span<const std::int32_t> ids, float multiplier,
             Rows out) override;
  void rms_norm(ConstRows x, const float* weight, float eps, Rows out) override;
  void layer_norm(ConstRows x, const float* weight, const float* bias, float eps,
                  Rows out) override;
  void linear(ConstRows x, std::span<const LinearCall> calls) override;
  void rotary(Rows x, int heads, int head_dim, int offset, std::int64_t first_position,
              const RotaryTable& table) override;
  void store_kv(KvCache& cache, int layer, std::int64_t first_position, ConstRows k,
                ConstRows v) override;
  void attention(const AttentionArgs& args) override;
  void add_scaled(Rows x, ConstRows y, float factor) override;
  void clamp(Rows x, float limit) override;
  void scale(Rows x, float factor) override;
  void scale_rows_sigmoid(Rows x, ConstRows gate) override;
  void copy(ConstRows x, Rows out) override;
  void route(const RouterArgs& args) override;
  void ffn(ConstRows x, std::span<const FfnGroup> groups, Rows out) override;
  void combine(ConstRows slots, const float* weights, int top_k, Rows y) override;

  SlotLayout held_form(const SlotLayout& layout) const override;
  std::unique_ptr<SlotArena> make_slots(const SlotLayout& layout, int slots) override;
  LinkCounts link() const override { return link_.counts(); }
  double link_gb_s() const override { return options_.link_gb_s; }
  double modelled_expert_us(const SlotLayout& layout, double tokens) const override;

  // For its buffers, caches and arenas.
  Device& host() { return *host_; }
  Budget& budget() { return *budget_; }
  AddressSpace& addresses() { return addresses_; }
  WorkQueue& queue() { return queue_; }
  Link& copies() { return link_; }

 private:
  /// Device rows as the worker reads them; kInternal when they are not memory of this device.
  Rows on_host(Rows rows, const char* operation) const;
  ConstRows on_host(ConstRows rows, const char* operation) const;
  const float* on_host(const float* values, std::int64_t count, const char* operation) const;

  const EmulatedOptions options_;
  std::shared_ptr<Budget> budget_;
  AddressSpace addresses_;
  std::unique_ptr<Device> host_;
  Link link_;
  WorkQueue queue_;  // ends first: its tasks use all of the above
};

/// Pages of keys and values, counted against the device's memory.
class EmulatedKvCache final : public KvCache {
 public:
  EmulatedKvCache(std::shared_ptr<EmulatedDevice> device, const KvLayout& layout);
  ~EmulatedKvCache() override;

  std::int64_t length() const override { return host_.length(); }
  void reserve(std::int64_t tokens) override;
  void set_length(std::int64_t tokens) override { host_.set_length(tokens); }
  std::size_t bytes() const override { return host_.bytes(); }

  host::HostKvCache& host() { return host_; }

 private:
  std::shared_ptr<EmulatedDevice> device_;
  std::vector<Budget::Charge> charges_;
  host::HostKvCache host_;
};

}  // namespace haq::device::emulated
