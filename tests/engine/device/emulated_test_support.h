// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/device/emulated/emulated_device.h"
#include "tests/engine/device/device_test_support.h"

namespace haq::device::test {

/// Experts of one form, from simple to unpleasant.
struct ExpertForm {
  Activation activation = Activation::kSwiGlu;
  std::int64_t hidden = 96, inner = 80;
  DType dtype = DType::kI8;
  bool bias = false;

  LinearPath path() const {
    return dtype == DType::kI8 ? LinearPath::kInt8 : LinearPath::kFixedOrder;
  }
};

/// int8 weights over the whole range, -128 included. `adversarial`: rows of one extreme value, rows
/// of zeros and scales of very different sizes.
inline LinearWeights random_linear(const ExpertForm& form, std::int64_t out, std::int64_t in,
                                   unsigned seed, bool adversarial) {
  LinearWeights w;
  if (form.dtype == DType::kI8) {
    auto q = random_int8(out * in, seed, -128, 127);
    std::vector<float> scale(static_cast<std::size_t>(out));
    std::mt19937 random(seed + 1);
    for (std::int64_t r = 0; r < out; ++r) {
      scale[static_cast<std::size_t>(r)] = 1e-3F * static_cast<float>(1 + random() % 9);
      if (!adversarial) continue;
      const std::int8_t extremes[] = {-128, 127, -127, 0};
      if (random() % 2 == 0) {
        std::fill_n(q.begin() + r * in, in, extremes[random() % 4]);
      }
      if (random() % 4 == 0) scale[static_cast<std::size_t>(r)] = 0x1p-130F;
    }
    w = weights_int8(std::move(q), std::move(scale), out, in);
  } else if (form.dtype == DType::kBF16) {
    std::vector<std::uint16_t> bits;
    for (const float v : random_floats(out * in, seed)) bits.push_back(to_bf16(0.1F * v).bits);
    w = weights_bf16(std::move(bits), out, in);
  } else {
    std::vector<float> values = random_floats(out * in, seed);
    for (float& v : values) v *= 0.1F;
    w = weights_f32(std::move(values), out, in);
  }
  if (form.bias) w.bias = random_floats(out, seed + 2);
  return w;
}

inline std::shared_ptr<const ExpertWeights> random_expert(const ExpertForm& form, unsigned seed,
                                                          bool adversarial = false) {
  auto expert = std::make_shared<ExpertWeights>();
  if (form.activation != Activation::kRelu) {
    expert->gate = random_linear(form, form.inner, form.hidden, 10 * seed, adversarial);
  }
  expert->up = random_linear(form, form.inner, form.hidden, 10 * seed + 3, adversarial);
  expert->down = random_linear(form, form.hidden, form.inner, 10 * seed + 6, adversarial);
  const std::string name = "experts." + std::to_string(seed);
  expert->gate_name = name + ".gate";
  expert->up_name = name + ".up";
  expert->down_name = name + ".down";
  return expert;
}

inline SlotLayout layout_of(const ExpertForm& form) {
  return slot_layout(*random_expert(form, 1), form.path(), form.activation, 7.0F);
}

/// The expert prepared by a device itself.
inline FfnSpec prepared(Device& device, const ExpertForm& form, const ExpertWeights& w,
                        LinearPath path) {
  FfnSpec f;
  f.activation = form.activation;
  if (!w.gate.weight.empty()) f.gate = device.prepare(w.gate, path, w.gate_name);
  f.up = device.prepare(w.up, path, w.up_name);
  f.down = device.prepare(w.down, path, w.down_name);
  return f;
}

/// Rows that go through some networks: row r by `choices` of them, to rows r * choices + c.
struct Routed {
  std::int64_t tokens, choices;
  std::vector<std::vector<std::int32_t>> rows, slots;

  Routed(std::int64_t t, std::size_t networks, unsigned seed)
      : tokens(t), choices(networks > 1 ? 2 : 1), rows(networks), slots(networks) {
    std::mt19937 random(seed);
    for (std::int32_t r = 0; r < t; ++r) {
      const std::size_t first = random() % networks;
      for (std::int64_t c = 0; c < choices; ++c) {
        const std::size_t n = (first + static_cast<std::size_t>(c)) % networks;
        rows[n].push_back(r);
        slots[n].push_back(static_cast<std::int32_t>(r * choices + c));
      }
    }
  }

  std::vector<FfnGroup> groups(const std::vector<const FfnSpec*>& networks) const {
    std::vector<FfnGroup> all;
    for (std::size_t n = 0; n < networks.size(); ++n) {
      all.push_back({networks[n], rows[n], slots[n]});
    }
    return all;
  }
};

/// Device memory with rows in it.
class DeviceRows {
 public:
  DeviceRows(Device& device, const std::vector<float>& values, std::int64_t cols)
      : device_(device),
        count_(values.size()),
        cols_(cols),
        buffer_(device.allocate(values.size() * sizeof(float))) {
    device.copy_to_device(buffer_->data(), values.data(), values.size() * sizeof(float));
  }
  DeviceRows(Device& device, std::int64_t rows, std::int64_t cols)
      : DeviceRows(device, std::vector<float>(static_cast<std::size_t>(rows * cols), -7.0F), cols) {
  }

  Rows rows() const {
    return {static_cast<float*>(buffer_->data()), static_cast<std::int64_t>(count_) / cols_, cols_,
            cols_};
  }
  std::vector<float> read() const {
    std::vector<float> values(count_);
    device_.copy_to_host(values.data(), buffer_->data(), count_ * sizeof(float));
    return values;
  }

 private:
  Device& device_;
  std::size_t count_;
  std::int64_t cols_;
  std::unique_ptr<Buffer> buffer_;
};

inline std::vector<float> run_ffn(Device& device, const std::vector<const FfnSpec*>& networks,
                                  const Routed& routed, const std::vector<float>& x,
                                  std::int64_t hidden) {
  const DeviceRows in(device, x, hidden), out(device, routed.tokens * routed.choices, hidden);
  device.ffn(in.rows(), routed.groups(networks), out.rows());
  return out.read();
}

inline std::shared_ptr<SlotDevice> emulated(EmulatedOptions options = {}) {
  options.pace_link = false;
  return make_emulated_device(options);
}

}  // namespace haq::device::test
