// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "engine/device/emulated/emulated_impl.h"

namespace haq::device::emulated {

/// One allocation cut into slots. The link's thread fills a slot and prepares the network over the
/// slot's own memory; nothing is packed, so that an upload costs its copy.
class EmulatedArena final : public SlotArena {
 public:
  /// `source`: the form that uploads may also have (see SlotDevice::held_form).
  EmulatedArena(std::shared_ptr<EmulatedDevice> device, const SlotLayout& source, int slots);
  ~EmulatedArena() override;

  int slots() const override { return static_cast<int>(slots_.size()); }
  std::size_t slot_bytes() const override { return parts_.bytes; }
  void upload(int slot, std::shared_ptr<const ExpertWeights> source) override;
  const FfnSpec& ffn(int slot) override;
  bool arrived(int slot) const override;

 private:
  struct Slot {
    std::uint64_t ordered = 0, present = 0;  ///< numbers of uploads; equal: the last has arrived
    FfnSpec ffn;
    std::exception_ptr error;
    // Between the two halves of a copy, for the link's thread alone.
    FfnSpec moved;
    std::exception_ptr failure;
  };
  Slot& at(int slot);
  void check_form(const ExpertWeights& source) const;
  FfnSpec fill(int slot, const ExpertWeights& source);
  std::shared_ptr<const Linear> place(const LinearWeights& source, const std::string& name,
                                      const SlotParts::Matrix& part, std::byte* slot);
  void arrive(int slot, std::uint64_t number);

  std::shared_ptr<EmulatedDevice> device_;
  const SlotLayout source_, layout_;
  const SlotParts parts_;
  Budget::Charge charge_;
  std::shared_ptr<std::byte> memory_;
  mutable std::mutex mutex_;
  std::condition_variable arrival_;
  std::vector<Slot> slots_;
};

}  // namespace haq::device::emulated
