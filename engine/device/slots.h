// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/device/device.h"

namespace haq::device {

/// One expert in host memory, as the checkpoint holds it (mapped where its layout allows).
struct ExpertWeights {
  LinearWeights gate;  ///< weight.empty(): none (kRelu)
  LinearWeights up, down;
  std::string gate_name = {}, up_name = {}, down_name = {};  ///< of the modules, for errors
};

/// The weights behind a prepared network, borrowed. kUnsupported when its device does not keep them
/// in host memory.
ExpertWeights expert_weights(const FfnSpec& ffn);

/// What every slot of an arena holds; all experts of an arena have this form.
struct SlotLayout {
  LinearPath path = LinearPath::kInt8;
  DType dtype = DType::kI8;  ///< of the weights in the slot
  Activation activation = Activation::kSwiGlu;
  float limit = 7.0F;
  std::int64_t hidden = 0, inner = 0;
  bool gate = true, bias = false;

  /// Bytes of a slot: weights, scales (kI8) and biases, each part aligned to 64. It is also what
  /// one copy moves over the link.
  std::size_t bytes() const;
  friend bool operator==(const SlotLayout&, const SlotLayout&) = default;
};

/// The form of a network; the experts of a model share an arena when theirs are equal. kUnsupported
/// for a network whose matrices differ in type or path, or of which only some have a bias, and as
/// expert_weights().
SlotLayout slot_layout(const FfnSpec& ffn);
/// The same for weights that are computed with on `path`.
SlotLayout slot_layout(const ExpertWeights& weights, LinearPath path, Activation activation,
                       float limit);

/// Offsets in a slot, in bytes from its start.
struct SlotParts {
  struct Matrix {
    std::int64_t out = 0, in = 0;
    std::size_t weight = 0, scale = 0, bias = 0;  ///< scale and bias: where the layout has them
  };
  Matrix gate, up, down;  ///< gate: where the layout has one
  std::size_t bytes = 0;
};
SlotParts slot_parts(const SlotLayout& layout);

/// Equal slots in a device's memory, filled over its link. One thread at a time.
class SlotArena {
 public:
  virtual ~SlotArena() = default;
  virtual int slots() const = 0;
  virtual std::size_t slot_bytes() const = 0;
  /// Orders a copy. Copies run one after the other in the order they were ordered, beside the
  /// device's computing; the slot's former content is gone from now on. The caller takes care that
  /// no submitted ffn() still reads the slot. kInternal when the form of the weights is not the
  /// layout's.
  virtual void upload(int slot, std::shared_ptr<const ExpertWeights> source) = 0;
  /// The FFN in the slot for the device's ffn(). Waits for the copy: never readable half-written.
  /// kInternal when nothing was ever ordered. Valid until the next upload() into the slot.
  virtual const FfnSpec& ffn(int slot) = 0;
  virtual bool arrived(int slot) const = 0;
};

/// Totals of a device's link since it was made.
struct LinkCounts {
  std::int64_t copies = 0, bytes = 0;
  double busy_us = 0;  ///< modelled on an emulated device
};

/// A device that holds a cache of experts beside the decoder's own device.
class SlotDevice : public Device {
 public:
  /// The form in which this device holds experts of the given form: the same, or one with other
  /// weights on a device without the arithmetic for it. Its bytes() is the size of a slot.
  virtual SlotLayout held_form(const SlotLayout& layout) const { return layout; }
  /// An arena of slots of held_form(layout), for sources of either form. Throws kOutOfMemory with
  /// the numbers when it does not fit the device's memory.
  virtual std::unique_ptr<SlotArena> make_slots(const SlotLayout& layout, int slots) = 0;
  virtual LinkCounts link() const = 0;
  /// Speed of the link, 1e9 bytes per second: stated (emulated) or measured.
  virtual double link_gb_s() const = 0;
  /// Modelled time of one expert for `tokens` rows; 0: the device's time is measured instead.
  virtual double modelled_expert_us(const SlotLayout& layout, double tokens) const = 0;
};

}  // namespace haq::device
