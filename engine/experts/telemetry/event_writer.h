// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>

#include "engine/experts/telemetry/events.h"

namespace haq::experts {

/// The producing side of telemetry: called by the thread that runs the model. Each function returns
/// how many events it wrote or dropped, so that the caller can tell what telemetry costs. Reading
/// the clock costs more than writing an event: take one time per step and hand it to all of them.
inline std::uint64_t event_time_ns() {
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(
                                        std::chrono::steady_clock::now().time_since_epoch())
                                        .count());
}

/// A forward pass begins.
inline int write_batch(EventRing& ring, std::uint64_t time_ns, const Event::Batch& batch) {
  ring.push_with([&](Event& event) {
    event.time_ns = time_ns;
    event.kind = Event::Kind::kBatch;
    event.layer = 0;
    event.batch = batch;
  });
  return 1;
}

/// The choices of all tokens of a batch in one layer: `ids` is [tokens, top_k], most probable
/// first, each below 65535; token t of the batch is number first_token + t. A token with more than
/// Event::kPathIds choices takes several events.
inline int write_paths(EventRing& ring, std::uint64_t time_ns, int layer, std::int64_t first_token,
                       int top_k, std::span<const std::int32_t> ids) {
  int events = 0;
  const auto width = static_cast<std::size_t>(top_k);
  for (std::size_t row = 0; row + width <= ids.size(); row += width, ++first_token) {
    for (std::size_t offset = 0; offset < width; offset += Event::kPathIds) {
      const std::size_t rest = width - offset;
      const std::size_t count = rest < Event::kPathIds ? rest : Event::kPathIds;
      ring.push_with([&](Event& event) {
        event.time_ns = time_ns;
        event.kind = Event::Kind::kPath;
        event.layer = static_cast<std::uint16_t>(layer);
        event.path.token = first_token;
        event.path.count = static_cast<std::uint16_t>(count);
        event.path.offset = static_cast<std::uint16_t>(offset);
        const std::int32_t* from = ids.data() + row + offset;
        for (std::size_t i = 0; i < count; ++i) {
          event.path.ids[i] = static_cast<std::uint16_t>(from[i]);
        }
      });
      ++events;
    }
  }
  return events;
}

/// One layer of the batch is done.
inline int write_step(EventRing& ring, std::uint64_t time_ns, int layer,
                      const Event::StepDone& step) {
  ring.push_with([&](Event& event) {
    event.time_ns = time_ns;
    event.kind = Event::Kind::kStep;
    event.layer = static_cast<std::uint16_t>(layer);
    event.step = step;
  });
  return 1;
}

/// A copy into a slot was ordered while `layer` was the current one.
inline int write_upload(EventRing& ring, std::uint64_t time_ns, int layer,
                        const Event::Upload& upload) {
  ring.push_with([&](Event& event) {
    event.time_ns = time_ns;
    event.kind = Event::Kind::kUpload;
    event.layer = static_cast<std::uint16_t>(layer);
    event.upload = upload;
  });
  return 1;
}

/// Nanoseconds that one event of a decoded token costs the producing thread, its share of reading
/// the clock included, measured now with a ring of kDefaultRingEvents (10 to 50 ms).
double measure_event_ns();

}  // namespace haq::experts
