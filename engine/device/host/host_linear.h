// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "engine/base/tensor.h"
#include "engine/device/device.h"
#include "engine/device/host/onednn.h"

namespace haq::device::host {

/// Weights on the host: the checkpoint's own row-major bytes, borrowed.
class HostLinear final : public Linear {
 public:
  HostLinear(LinearWeights weights, LinearPath path, std::string name, std::size_t owned_bytes)
      : weights_(std::move(weights)),
        path_(path),
        name_(std::move(name)),
        owned_bytes_(owned_bytes),
        library_(weights_.out(), weights_.in(), size_of(weights_.weight.dtype)) {}

  std::int64_t in() const override { return weights_.in(); }
  std::int64_t out() const override { return weights_.out(); }
  LinearPath path() const override { return path_; }
  const std::string& name() const override { return name_; }
  std::size_t packed_bytes() const override { return owned_bytes_.load(std::memory_order_relaxed); }
  std::size_t weight_bytes() const override {
    return weights_.weight.bytes() + 4 * (weights_.scale.size() + weights_.bias.size());
  }

  const LinearWeights* host_weights() const override { return &weights_; }

  DType dtype() const { return weights_.weight.dtype; }
  const std::byte* data() const { return weights_.weight.data; }
  const float* scale() const { return weights_.scale.data(); }
  const float* bias() const { return weights_.bias.empty() ? nullptr : weights_.bias.data(); }
  std::size_t row_bytes() const {
    return static_cast<std::size_t>(in()) * size_of(weights_.weight.dtype);
  }
  /// Slices and their packed copies, filled by BlockProducts on first use.
  LibraryWeights& library() const { return library_; }
  void add_packed_bytes(std::size_t bytes) const {
    owned_bytes_.fetch_add(bytes, std::memory_order_relaxed);
  }

 private:
  LinearWeights weights_;
  LinearPath path_;
  std::string name_;
  mutable std::atomic<std::size_t> owned_bytes_;
  mutable LibraryWeights library_;
};

/// The HostLinear behind an interface; kInternal for a layer of another device.
const HostLinear& as_host(const Linear& linear);

}  // namespace haq::device::host
