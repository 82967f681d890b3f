// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/experts/dispatch.h"

#include <algorithm>

#include "engine/base/error.h"

namespace haq::experts {
namespace {

/// What one step is decided by.
struct Problem {
  const Step& step;
  std::span<const std::uint8_t> resident, admitted;
  const CostTable& costs;
  const LaneScale& scale;

  double cpu_us(double tokens) const { return scale.cpu * costs.cpu_us(tokens); }
  double device_us(double tokens) const { return scale.device * costs.device_us(tokens); }
  double copy_us() const { return scale.device * costs.upload_us(1); }
};

Lane device_lane(bool admitted) {
  return admitted ? Lane::kAdmitted : Lane::kStreamed;
}

/// A step of one token: all experts cost the same, so that counting is enough. Misses whose copy is
/// on its way anyway move first, the order of the step decides the rest.
void dispatch_single(const Problem& problem, int uploads, MissMode mode, Dispatch& result) {
  const std::size_t count = problem.step.experts.size();
  std::size_t hits = 0, admitted = 0;
  for (std::size_t i = 0; i < count; ++i) {
    hits += problem.resident[i] != 0;
    admitted += problem.resident[i] == 0 && problem.admitted[i] != 0;
  }
  const double cpu_us = problem.cpu_us(1), device_us = problem.device_us(1);
  const double copy_us = problem.copy_us();
  std::size_t on_cpu = count - hits;
  std::size_t moved_admitted = 0, moved_others = 0;
  if (mode == MissMode::kUpload) {
    moved_admitted = admitted;
    moved_others = on_cpu - admitted;
    on_cpu = 0;
  } else if (mode == MissMode::kAuto) {
    double device_lane_us = uploads * copy_us + static_cast<double>(hits) * device_us;
    const auto move = [&](std::size_t limit, double added) {
      std::size_t moved = 0;
      for (; moved < limit; ++moved) {
        const double cpu_lane_us = static_cast<double>(on_cpu) * cpu_us;
        const double after = std::max(cpu_lane_us - cpu_us, device_lane_us + added);
        if (!(after < std::max(cpu_lane_us, device_lane_us))) break;
        device_lane_us += added;
        --on_cpu;
      }
      return moved;
    };
    moved_admitted = move(admitted, device_us);
    moved_others = move(count - hits - admitted, device_us + copy_us);
  }
  result.streamed = static_cast<int>(moved_others);
  result.cpu_us = static_cast<double>(on_cpu) * cpu_us;
  result.device_us = static_cast<double>(count - on_cpu) * device_us;
  result.link_us = (uploads + static_cast<double>(moved_others)) * copy_us;
  result.lanes.resize(count);
  for (std::size_t i = 0; i < count; ++i) {
    Lane lane = Lane::kCpu;
    if (problem.resident[i] != 0) {
      lane = Lane::kResident;
    } else if (problem.admitted[i] != 0) {
      if (moved_admitted > 0) lane = (--moved_admitted, Lane::kAdmitted);
    } else if (moved_others > 0) {
      lane = (--moved_others, Lane::kStreamed);
    }
    result.lanes[i] = lane;
  }
}

void choose(const Problem& problem, Dispatch& result) {
  const double copy_us = problem.copy_us();
  double cpu_lane_us = 0, device_lane_us = result.link_us;
  std::vector<Dispatch::Miss>& misses = result.misses;
  misses.clear();
  for (std::size_t i = 0; i < result.lanes.size(); ++i) {
    const double tokens = problem.step.counts[i];
    const double device_us = problem.device_us(tokens);
    if (result.lanes[i] != Lane::kCpu) {
      device_lane_us += device_us;
      continue;
    }
    const double added = device_us + (problem.admitted[i] != 0 ? 0 : copy_us);
    misses.push_back({static_cast<std::uint32_t>(i), problem.cpu_us(tokens), added});
    cpu_lane_us += misses.back().cpu_us;
  }
  std::sort(misses.begin(), misses.end(), [](const Dispatch::Miss& a, const Dispatch::Miss& b) {
    const double left = a.cpu_us * b.device_us, right = b.cpu_us * a.device_us;
    return left != right ? left > right : a.at < b.at;
  });
  for (const Dispatch::Miss& miss : misses) {
    const double moved = std::max(cpu_lane_us - miss.cpu_us, device_lane_us + miss.device_us);
    if (!(moved < std::max(cpu_lane_us, device_lane_us))) continue;
    result.lanes[miss.at] = device_lane(problem.admitted[miss.at] != 0);
    cpu_lane_us -= miss.cpu_us;
    device_lane_us += miss.device_us;
  }
}

/// Sums the lanes in the order of the step, whatever way they were chosen in.
void add_up(const Problem& problem, int uploads, Dispatch& result) {
  result.cpu_us = result.device_us = 0;
  result.streamed = 0;
  for (std::size_t i = 0; i < result.lanes.size(); ++i) {
    const double tokens = problem.step.counts[i];
    if (result.lanes[i] == Lane::kCpu) {
      result.cpu_us += problem.cpu_us(tokens);
    } else {
      result.device_us += problem.device_us(tokens);
    }
    result.streamed += result.lanes[i] == Lane::kStreamed;
  }
  result.link_us = (uploads + result.streamed) * problem.copy_us();
}

/// A step without a device.
void all_on_cpu(const Problem& problem, Dispatch& result) {
  result.lanes.assign(problem.step.experts.size(), Lane::kCpu);
  add_up(problem, 0, result);
}

}  // namespace

const char* to_string(MissMode mode) {
  switch (mode) {
    case MissMode::kCpu:
      return "cpu";
    case MissMode::kUpload:
      return "upload";
    case MissMode::kAuto:
      break;
  }
  return "auto";
}

std::optional<MissMode> parse_miss_mode(const std::string& word) {
  for (const MissMode mode : {MissMode::kCpu, MissMode::kUpload, MissMode::kAuto}) {
    if (word == to_string(mode)) return mode;
  }
  return std::nullopt;
}

void dispatch(const Step& step, std::span<const std::uint8_t> resident,
              std::span<const std::uint8_t> admitted, int uploads, const CostTable& costs,
              MissMode mode, bool device, Dispatch& result, const LaneScale& scale) {
  const Problem problem{step, resident, admitted, costs, scale};
  if (!device) return all_on_cpu(problem, result);
  if (step.tokens == 1) return dispatch_single(problem, uploads, mode, result);
  const std::size_t count = step.experts.size();
  result.lanes.resize(count);
  for (std::size_t i = 0; i < count; ++i) {
    const bool miss = resident[i] == 0;
    result.lanes[i] = !miss                       ? Lane::kResident
                      : mode == MissMode::kUpload ? device_lane(admitted[i] != 0)
                                                  : Lane::kCpu;
  }
  if (mode == MissMode::kAuto) {
    result.link_us = uploads * problem.copy_us();
    choose(problem, result);
  }
  add_up(problem, uploads, result);
}

}  // namespace haq::experts
