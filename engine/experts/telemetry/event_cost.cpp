// SPDX-License-Identifier: GPL-3.0-or-later
#include <algorithm>
#include <array>
#include <vector>

#include "engine/experts/telemetry/event_writer.h"

namespace haq::experts {

double measure_event_ns() {
  // As large as the ring of a recording: one that fits the caches would flatter.
  EventRing ring(kDefaultRingEvents);
  constexpr int kTopK = 8;
  const std::array<std::int32_t, kTopK> ids{1, 2, 3, 5, 8, 13, 21, 34};
  const Event::StepDone step{};
  std::vector<Event> sink(4096);
  std::array<double, 3> rounds{};
  for (double& round : rounds) {
    const std::uint64_t begin = event_time_ns();
    std::int64_t events = 0;
    for (std::int64_t token = 0; events + 1 < static_cast<std::int64_t>(ring.capacity()); ++token) {
      const std::uint64_t now = event_time_ns();
      events += write_paths(ring, now, 0, token, kTopK, ids);
      events += write_step(ring, now, 0, step);
    }
    round = static_cast<double>(event_time_ns() - begin) / static_cast<double>(events);
    while (ring.pop(sink) != 0) {
    }
  }
  std::sort(rounds.begin(), rounds.end());
  return rounds[1];
}

}  // namespace haq::experts
