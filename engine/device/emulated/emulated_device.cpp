// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/device/emulated/emulated_device.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <new>
#include <vector>

#include "engine/base/error.h"
#include "engine/device/emulated/emulated_impl.h"
#include "engine/device/emulated/slot_arena.h"
#include "engine/device/host/scratch.h"

namespace haq::device {
namespace emulated {
namespace {

/// Weights and copies on the host stay as they are: nothing is packed per content of a slot.
HostOptions host_options(const EmulatedOptions& options) {
  HostOptions host;
  host.threads = options.threads;
  host.max_isa = options.max_isa;
  host.int8 = Int8Products::kOwn;
  host.pack_budget_bytes = 0;
  return host;
}

class EmulatedBuffer final : public Buffer {
 public:
  EmulatedBuffer(std::shared_ptr<EmulatedDevice> device, std::size_t bytes)
      : device_(std::move(device)),
        charge_(device_->budget().take(bytes, "a buffer")),
        memory_(host::allocate_aligned(bytes)),
        address_(device_->addresses().add(memory_.get(), bytes)),
        bytes_(bytes) {}
  ~EmulatedBuffer() override {
    device_->queue().drain();
    device_->addresses().remove(address_);
  }
  void* data() const override { return address_; }
  std::size_t bytes() const override { return bytes_; }

 private:
  std::shared_ptr<EmulatedDevice> device_;
  Budget::Charge charge_;
  std::unique_ptr<std::byte, host::FreeDeleter> memory_;
  void* address_;
  std::size_t bytes_;
};

}  // namespace

EmulatedDevice::EmulatedDevice(const EmulatedOptions& options)
    : options_(options),
      budget_(std::make_shared<Budget>(options.name, options.memory_bytes)),
      host_(make_host_device(host_options(options))),
      link_({options.link_gb_s, options.link_latency_us, options.pace_link}) {}

DeviceInfo EmulatedDevice::info() const {
  const DeviceInfo host = host_->info();
  DeviceInfo info;
  info.name = options_.name;
  info.bit_identical = options_.hold == DType::kI8;
  if (!info.bit_identical) info.name += " (16-bit experts, not bit-identical)";
  info.kind = "emulated";
  info.memory_bytes = options_.memory_bytes > 0 ? options_.memory_bytes : host.memory_bytes;
  info.emulated = true;
  info.host_memory = false;
  info.isa = host.isa;
  return info;
}

std::unique_ptr<Buffer> EmulatedDevice::allocate(std::size_t bytes) {
  try {
    return std::make_unique<EmulatedBuffer>(shared_from_this(), bytes);
  } catch (const std::bad_alloc&) {
    fail(ErrorCode::kOutOfMemory, "The host has no {} bytes for a buffer of an emulated device.",
         bytes);
  }
}

void EmulatedDevice::copy_to_device(void* destination, const void* source, std::size_t bytes) {
  if (bytes == 0) return;
  std::byte* to = addresses_.host(destination, bytes, "copy_to_device");
  if (queue_.idle()) {
    std::memcpy(to, source, bytes);
    return;
  }
  // Work before it may still read what is overwritten, and the source may change on return.
  const auto* from = static_cast<const std::byte*>(source);
  queue_.submit([to, staged = std::vector<std::byte>(from, from + bytes)] {
    std::memcpy(to, staged.data(), staged.size());
  });
}

void EmulatedDevice::copy_to_host(void* destination, const void* source, std::size_t bytes) {
  queue_.wait();
  if (bytes == 0) return;
  std::memcpy(destination, addresses_.host(source, bytes, "copy_to_host"), bytes);
}

std::shared_ptr<const Linear> EmulatedDevice::prepare(const LinearWeights& weights, LinearPath path,
                                                      const std::string& name) {
  const std::size_t bytes =
      weights.weight.bytes() + sizeof(float) * (weights.scale.size() + weights.bias.size());
  Budget::Charge charge = budget_->take(bytes, name);
  return std::make_shared<EmulatedLinear>(host_->prepare(weights, path, name), std::move(charge));
}

std::unique_ptr<KvCache> EmulatedDevice::make_kv_cache(const KvLayout& layout) {
  return std::make_unique<EmulatedKvCache>(shared_from_this(), layout);
}

EmulatedKvCache::EmulatedKvCache(std::shared_ptr<EmulatedDevice> device, const KvLayout& layout)
    : device_(std::move(device)), host_(layout) {}

EmulatedKvCache::~EmulatedKvCache() {
  device_->queue().drain();
}

void EmulatedKvCache::reserve(std::int64_t tokens) {
  if (tokens <= host_.capacity()) return;
  device_->queue().drain();  // the tables of pages may move
  while (host_.capacity() < tokens) {
    Budget::Charge charge = device_->budget().take(host_.page_bytes(), "a page of keys and values");
    host_.reserve(std::min(tokens, host_.capacity() + host_.page_tokens()));
    charges_.push_back(std::move(charge));
  }
}

SlotLayout EmulatedDevice::held_form(const SlotLayout& layout) const {
  SlotLayout held = layout;
  if (options_.hold == DType::kBF16 && layout.dtype == DType::kI8) {
    held.dtype = DType::kBF16;
    held.path = LinearPath::kLibrary16;
  }
  return held;
}

std::unique_ptr<SlotArena> EmulatedDevice::make_slots(const SlotLayout& layout, int slots) {
  return std::make_unique<EmulatedArena>(shared_from_this(), layout, slots);
}

double EmulatedDevice::modelled_expert_us(const SlotLayout& layout, double tokens) const {
  const SlotLayout held = held_form(layout);
  const double matrices = held.gate ? 3 : 2;
  const double operations =
      2 * matrices * tokens * static_cast<double>(held.hidden) * static_cast<double>(held.inner);
  return options_.launch_us +
         std::max(static_cast<double>(held.bytes()) / (options_.memory_gb_s * 1e3),
                  operations / (options_.tflops * 1e6));
}

}  // namespace emulated

std::shared_ptr<SlotDevice> make_emulated_device(const EmulatedOptions& options) {
  const auto check = [&](const char* what, double value, double least, double most) {
    // Written so that a value that is not a number is refused.
    if (value >= least && value <= most) return;
    fail(ErrorCode::kInvalidArgument, "Emulated device: {} of {}; expected {} to {}.", what, value,
         least, most);
  };
  check("a link speed in GB/s", options.link_gb_s, 1e-3, 1e6);
  check("a link latency in microseconds", options.link_latency_us, 0, 1e6);
  check("an arithmetic speed in tera-operations per second", options.tflops, 1e-3, 1e6);
  check("a memory speed in GB/s", options.memory_gb_s, 1e-3, 1e6);
  check("a launch time in microseconds", options.launch_us, 0, 1e6);
  check("a number of threads", options.threads, 1, 1024);
  if (options.hold != DType::kI8 && options.hold != DType::kBF16) {
    fail(ErrorCode::kInvalidArgument, "Emulated device: experts held as {}; expected I8 or BF16.",
         to_string(options.hold));
  }
  return std::make_shared<emulated::EmulatedDevice>(options);
}

}  // namespace haq::device
