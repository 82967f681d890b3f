// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "engine/device/emulated/emulated_device.h"
#include "engine/experts/placement/plan.h"
#include "engine/session/experts/experts.h"

/// The parts of ExpertSession::attach() that decide from numbers alone.
namespace haq::session {

enum class ExpertPlace { kCpu, kEmulated };

/// Where the options put experts. Throws kInvalidArgument for an unknown word, kUnsupported for a
/// CUDA device: this build has no module for it.
ExpertPlace place_of(const ExpertOptions& options);
/// The policy asked for, else auto with a device and none without.
std::string policy_of(const ExpertOptions& options);
/// The card's figures, or the defaults, with what --link and --emulate-gpu-tflops change; `threads`
/// of the model. Throws kInvalidArgument for an unknown card or a figure out of range.
device::EmulatedOptions emulated_options(const ExpertOptions& options, int threads);

/// Where slots lie and how much of it is free.
struct SlotMemory {
  std::string device;            ///< name, for messages
  std::size_t device_bytes = 0;  ///< 0: no limit
  std::size_t host_bytes = 0;    ///< free host memory, where the slots lie in it; 0: no limit
  std::size_t slot_bytes = 0;    ///< of one expert
  int staging = 0;               ///< slots that the runtime needs besides the budget's
};

/// The number of experts that `budget` (--vram) keeps resident. "all" is cut to what fits, with a
/// notice; another budget that does not fit is refused: kOutOfMemory with the numbers. A budget
/// below a layer's top-k earns a notice.
int resident_experts(const std::string& budget, const experts::ExpertShape& shape,
                     const SlotMemory& memory, std::vector<std::string>& notices);

/// The plan's experts as indices, its most valuable ones that `capacity` holds; a notice when that
/// leaves some out.
std::vector<experts::ExpertIndex> pinned_experts(const experts::Plan& plan,
                                                 const experts::ExpertShape& shape, int capacity,
                                                 std::vector<std::string>& notices);

}  // namespace haq::session
