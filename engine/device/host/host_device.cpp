// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/device/host/host_device.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <new>
#include <utility>

#include "engine/base/error.h"
#include "engine/device/host/cpuid.h"
#include "engine/device/host/host_impl.h"
#include "engine/device/host/kv_cache.h"
#include "engine/device/numerics.h"

namespace haq::device {
namespace host {
namespace {

class HostBuffer final : public Buffer {
 public:
  explicit HostBuffer(std::size_t bytes) : memory_(allocate_aligned(bytes)), bytes_(bytes) {}
  void* data() const override { return memory_.get(); }
  std::size_t bytes() const override { return bytes_; }

 private:
  std::unique_ptr<std::byte, FreeDeleter> memory_;
  std::size_t bytes_;
};

bool same_shape(const ConstRows& a, const ConstRows& b) {
  return a.rows == b.rows && a.cols == b.cols;
}

}  // namespace

const HostLinear& as_host(const Linear& linear) {
  const auto* host = dynamic_cast<const HostLinear*>(&linear);
  if (host == nullptr) fail(ErrorCode::kInternal, "A layer of another device on the host device.");
  return *host;
}

void check(bool condition, const char* operation, const char* what) {
  if (!condition) fail(ErrorCode::kInternal, "{}: {}.", operation, what);
}

HostDevice::HostDevice(const HostOptions& options)
    : options_(options),
      kernels_(select_kernels(options.max_isa)),
      int8_(select_int8(options.max_isa)),
      products_(kernels_, int8_, options),
      pool_(options.threads),
      threads_(static_cast<std::size_t>(pool_.size())) {
  if (!can_run(options.max_isa)) {
    fail(ErrorCode::kInvalidArgument, "This processor cannot run the instruction set '{}'.",
         to_string(options.max_isa));
  }
}

HostDevice::~HostDevice() = default;

DeviceInfo HostDevice::info() const {
  DeviceInfo info;
  info.name = "host";
  info.kind = "cpu";
  info.memory_bytes = static_cast<std::size_t>(sysconf(_SC_PHYS_PAGES)) *
                      static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  info.host_memory = true;
  info.isa = kernels_.name;
  return info;
}

std::unique_ptr<Buffer> HostDevice::allocate(std::size_t bytes) {
  try {
    return std::make_unique<HostBuffer>(bytes);
  } catch (const std::bad_alloc&) {
    fail(ErrorCode::kOutOfMemory, "No memory for a buffer of {} MiB.", bytes >> 20);
  }
}

void HostDevice::copy_to_device(void* destination, const void* source, std::size_t bytes) {
  if (bytes > 0) std::memcpy(destination, source, bytes);
}

void HostDevice::copy_to_host(void* destination, const void* source, std::size_t bytes) {
  if (bytes > 0) std::memcpy(destination, source, bytes);
}

std::shared_ptr<const Linear> HostDevice::prepare(const LinearWeights& weights, LinearPath path,
                                                  const std::string& name) {
  const HostMatrix& w = weights.weight;
  check(w.data != nullptr && w.rows > 0 && w.cols > 0, "prepare", "empty weights");
  check(weights.bias.empty() || std::cmp_equal(weights.bias.size(), w.rows), "prepare",
        "bias of another length");
  LinearWeights own = weights;
  std::size_t owned = 0;
  if (path == LinearPath::kInt8) {
    check(w.dtype == DType::kI8, "prepare", "int8 path without int8 weights");
    check(std::cmp_equal(weights.scale.size(), w.rows), "prepare", "scales of another length");
    if (w.cols > 131072) {
      fail(ErrorCode::kUnsupported, "{}: {} inputs; int8 sums are exact up to 131072.", name,
           w.cols);
    }
  } else {
    check(w.dtype == DType::kBF16 || w.dtype == DType::kF32, "prepare",
          "weights are neither bfloat16 nor float32");
    if (path == LinearPath::kLibrary16 && w.dtype == DType::kF32) {
      const std::int64_t count = w.rows * w.cols;
      auto rounded = std::make_shared<std::vector<std::uint16_t>>(static_cast<std::size_t>(count));
      kernels_.round_bf16(reinterpret_cast<const float*>(w.data), count, rounded->data());
      own.weight.dtype = DType::kBF16;
      own.weight.data = reinterpret_cast<const std::byte*>(rounded->data());
      own.weight.owner = rounded;
      owned = static_cast<std::size_t>(count) * 2;
    }
  }
  products_.add_weights(own.weight.bytes());
  return std::make_shared<HostLinear>(std::move(own), path, name, owned);
}

std::unique_ptr<KvCache> HostDevice::make_kv_cache(const KvLayout& layout) {
  return std::make_unique<HostKvCache>(layout);
}

void HostDevice::embed(const Linear& table, std::span<const std::int32_t> ids, float multiplier,
                       Rows out) {
  const HostLinear& t = as_host(table);
  check(t.dtype() != DType::kI8, "embed", "int8 table");
  check(std::cmp_equal(out.rows, ids.size()) && out.cols == t.in(), "embed", "shape mismatch");
  for_rows(out.rows, out.cols, [&](std::int64_t r) {
    const std::int32_t id = ids[static_cast<std::size_t>(r)];
    check(id >= 0 && id < t.out(), "embed", "id outside the table");
    const std::byte* row = t.data() + static_cast<std::size_t>(id) * t.row_bytes();
    float* to = out.data + r * out.stride;
    if (t.dtype() == DType::kBF16) {
      kernels_.widen_bf16(reinterpret_cast<const std::uint16_t*>(row), out.cols, multiplier, to);
    } else {
      std::memcpy(to, row, t.row_bytes());
      kernels_.scale(to, multiplier, out.cols);
    }
  });
}

void HostDevice::rms_norm(ConstRows x, const float* weight, float eps, Rows out) {
  check(same_shape(x, out), "rms_norm", "shape mismatch");
  for_rows(x.rows, x.cols, [&](std::int64_t r) {
    kernels_.rms_norm(x.data + r * x.stride, weight, eps, x.cols, out.data + r * out.stride);
  });
}

void HostDevice::layer_norm(ConstRows x, const float* weight, const float* bias, float eps,
                            Rows out) {
  check(same_shape(x, out), "layer_norm", "shape mismatch");
  for_rows(x.rows, x.cols, [&](std::int64_t r) {
    kernels_.layer_norm(x.data + r * x.stride, weight, bias, eps, x.cols,
                        out.data + r * out.stride);
  });
}

void HostDevice::rotary(Rows x, int heads, int head_dim, int offset, std::int64_t first_position,
                        const RotaryTable& table) {
  check(x.cols >= static_cast<std::int64_t>(heads) * head_dim && offset >= 0 &&
            offset + table.dim <= head_dim && table.dim % 2 == 0,
        "rotary", "shape mismatch");
  check(first_position >= 0 && first_position + x.rows <= table.length, "rotary",
        "position outside the table");
  const std::int64_t half = table.dim / 2;
  for_rows(x.rows, static_cast<std::int64_t>(heads) * table.dim, [&](std::int64_t r) {
    const std::int64_t at = (first_position + r) * half;
    for (int h = 0; h < heads; ++h) {
      kernels_.rotate(x.data + r * x.stride + static_cast<std::int64_t>(h) * head_dim + offset,
                      table.cos + at, table.sin + at, table.dim, table.interleaved);
    }
  });
}

void HostDevice::add_scaled(Rows x, ConstRows y, float factor) {
  check(same_shape(x, y), "add_scaled", "shape mismatch");
  for_rows(x.rows, x.cols, [&](std::int64_t r) {
    kernels_.add_scaled(x.data + r * x.stride, y.data + r * y.stride, factor, x.cols);
  });
}

void HostDevice::clamp(Rows x, float limit) {
  for_rows(x.rows, x.cols,
           [&](std::int64_t r) { kernels_.clamp(x.data + r * x.stride, limit, x.cols); });
}

void HostDevice::scale(Rows x, float factor) {
  for_rows(x.rows, x.cols,
           [&](std::int64_t r) { kernels_.scale(x.data + r * x.stride, factor, x.cols); });
}

void HostDevice::scale_rows_sigmoid(Rows x, ConstRows gate) {
  check(x.rows == gate.rows && gate.cols >= 1, "scale_rows_sigmoid", "shape mismatch");
  for_rows(x.rows, x.cols, [&](std::int64_t r) {
    kernels_.scale(x.data + r * x.stride, num::sigmoid(gate.data[r * gate.stride]), x.cols);
  });
}

void HostDevice::copy(ConstRows x, Rows out) {
  check(same_shape(x, out), "copy", "shape mismatch");
  for_rows(x.rows, x.cols, [&](std::int64_t r) {
    std::memmove(out.data + r * out.stride, x.data + r * x.stride,
                 static_cast<std::size_t>(x.cols) * sizeof(float));
  });
}

void HostDevice::combine(ConstRows slots, const float* weights, int top_k, Rows y) {
  check(top_k > 0 && slots.rows == y.rows * top_k && slots.cols == y.cols, "combine",
        "shape mismatch");
  for_rows(y.rows, y.cols * top_k, [&](std::int64_t r) {
    kernels_.combine(slots.data + r * top_k * slots.stride, slots.stride, weights + r * top_k,
                     top_k, y.cols, y.data + r * y.stride);
  });
}

}  // namespace host

std::unique_ptr<Device> make_host_device(const HostOptions& options) {
  return std::make_unique<host::HostDevice>(options);
}

}  // namespace haq::device
