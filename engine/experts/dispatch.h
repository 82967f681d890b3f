// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/experts/cost_table.h"
#include "engine/experts/step.h"

namespace haq::experts {

/// Where an expert that is not resident is computed (--miss). Admission is the policy's alone.
enum class MissMode { kCpu, kUpload, kAuto };
const char* to_string(MissMode mode);
/// cpu, upload or auto; another word: nullopt.
std::optional<MissMode> parse_miss_mode(const std::string& word);

enum class Lane : std::uint8_t {
  kCpu,
  kResident,  ///< on the device, the expert was there when the step began
  kAdmitted,  ///< on the device, once the policy's upload of this step has arrived
  kStreamed,  ///< on the device, through a staging slot that is free again after the step
};

/// The dispatcher's decision for one step. The vectors are reused from step to step.
struct Dispatch {
  std::vector<Lane> lanes;  ///< parallel to Step::experts
  double cpu_us = 0, link_us = 0, device_us = 0;
  int streamed = 0;

  /// Modelled time of the step: both lanes run at once, the device waits for the link.
  double step_us() const { return cpu_us > link_us + device_us ? cpu_us : link_us + device_us; }

  struct Miss {
    std::uint32_t at;  ///< in Step::experts
    double cpu_us, device_us;
  };
  std::vector<Miss> misses;  ///< scratch of dispatch()
};

/// Factors on the table's times; `device` counts for the link too. Says in hindsight what the best
/// choice would have been, had the table known the times that were measured.
struct LaneScale {
  double cpu = 1, device = 1;
};

/// Chooses lanes so that max(CPU lane, link + device lane) is smallest, as far as `mode` allows.
/// Residents run on the device. `resident` and `admitted` (by this step's end_step) are parallel to
/// step.experts; `uploads` counts all copies that the policy ordered in this step, prefetches for
/// other layers included: they occupy the link whatever is chosen. kCpu: every miss on the CPU.
/// kUpload: every miss on the device. kAuto: starts with every miss on the CPU, looks at each once,
/// in descending order of CPU time saved per device (and link) time added, and moves it to the
/// device when that shortens the step. The result is never longer than all misses on either side.
/// Deterministic; the live runtime and the replay both call it. `device` false (no device):
/// everything on the CPU.
void dispatch(const Step& step, std::span<const std::uint8_t> resident,
              std::span<const std::uint8_t> admitted, int uploads, const CostTable& costs,
              MissMode mode, bool device, Dispatch& result, const LaneScale& scale = {});

}  // namespace haq::experts
