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

/// Chooses for misses that all have one token: equal costs, so that those whose copy is on its way
/// anyway go first and the order of the step decides the rest.
void choose_single(const Problem& problem, Dispatch& result) {
  const double cpu_us = problem.cpu_us(1), device_us = problem.device_us(1);
  const double copy_us = problem.copy_us();
  std::size_t on_cpu = 0;
  double device_lane_us = result.link_us;
  for (const Lane lane : result.lanes) {
    lane == Lane::kCpu ? void(++on_cpu) : void(device_lane_us += device_us);
  }
  for (const bool admitted : {true, false}) {
    const double added = device_us + (admitted ? 0 : copy_us);
    for (std::size_t i = 0; i < result.lanes.size() && on_cpu > 0; ++i) {
      if (result.lanes[i] != Lane::kCpu || (problem.admitted[i] != 0) != admitted) continue;
      const double cpu_lane_us = static_cast<double>(on_cpu) * cpu_us;
      const double moved =
          std::max(static_cast<double>(on_cpu - 1) * cpu_us, device_lane_us + added);
      if (!(moved < std::max(cpu_lane_us, device_lane_us))) break;  // nor any other of its kind
      result.lanes[i] = device_lane(admitted);
      device_lane_us += added;
      --on_cpu;
    }
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
  std::size_t on_cpu = 0, streamed = 0;
  result.cpu_us = result.device_us = 0;
  for (std::size_t i = 0; i < result.lanes.size(); ++i) {
    const Lane lane = result.lanes[i];
    on_cpu += lane == Lane::kCpu;
    streamed += lane == Lane::kStreamed;
    if (problem.step.tokens == 1) continue;
    const double tokens = problem.step.counts[i];
    if (lane == Lane::kCpu) {
      result.cpu_us += problem.cpu_us(tokens);
    } else {
      result.device_us += problem.device_us(tokens);
    }
  }
  if (problem.step.tokens == 1) {
    const std::size_t on_device = result.lanes.size() - on_cpu;
    if (on_cpu > 0) result.cpu_us = static_cast<double>(on_cpu) * problem.cpu_us(1);
    if (on_device > 0) result.device_us = static_cast<double>(on_device) * problem.device_us(1);
  }
  result.streamed = static_cast<int>(streamed);
  const double copies = uploads + static_cast<double>(streamed);
  result.link_us = copies == 0 ? 0 : problem.scale.device * problem.costs.upload_us(copies);
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

MissMode parse_miss_mode(const std::string& word) {
  for (const MissMode mode : {MissMode::kCpu, MissMode::kUpload, MissMode::kAuto}) {
    if (word == to_string(mode)) return mode;
  }
  fail(ErrorCode::kInvalidArgument, "miss mode \"{}\": expected cpu, upload or auto", word);
}

void dispatch(const Step& step, std::span<const std::uint8_t> resident,
              std::span<const std::uint8_t> admitted, int uploads, const CostTable& costs,
              MissMode mode, bool device, Dispatch& result, const LaneScale& scale) {
  const Problem problem{step, resident, admitted, costs, scale};
  const std::size_t count = step.experts.size();
  result.lanes.resize(count);
  std::size_t misses = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const bool hit = device && resident[i] != 0;
    result.lanes[i] = hit ? Lane::kResident : Lane::kCpu;
    misses += !hit;
  }
  if (device && misses > 0 && mode == MissMode::kUpload) {
    for (std::size_t i = 0; i < count; ++i) {
      if (result.lanes[i] == Lane::kCpu) result.lanes[i] = device_lane(admitted[i] != 0);
    }
  } else if (device && misses > 0 && mode == MissMode::kAuto) {
    result.link_us = uploads == 0 ? 0 : scale.device * costs.upload_us(uploads);
    step.tokens == 1 ? choose_single(problem, result) : choose(problem, result);
  }
  add_up(problem, uploads, result);
}

}  // namespace haq::experts
