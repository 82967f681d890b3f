// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/base/spsc_ring.h"

namespace haq::experts {

/// Telemetry of the expert runtime: events of one cache line, written by the thread that runs the
/// model into a single-producer ring and drained by a recorder or a window. A full ring drops
/// events and counts them; it never stops the model.
struct alignas(64) Event {
  enum class Kind : std::uint8_t {
    kBatch,   ///< a forward pass begins
    kPath,    ///< the choices of one token in one layer (or some of them, see `offset`)
    kStep,    ///< one layer of the batch is done
    kUpload,  ///< a copy into a slot was ordered
  };
  struct Batch {
    std::int64_t first_token;  ///< number of its first token since the runtime was made
    std::int32_t tokens;
    std::int32_t prompt;  ///< running number of the prompt
    std::uint8_t decode;  ///< 1: one new token per sequence
  };
  static constexpr int kPathIds = 16;
  struct Path {
    std::int64_t token;
    std::uint16_t count, offset;  ///< ids[0, count) are the ranks offset, offset + 1, ...
    std::uint16_t ids[kPathIds];
  };
  struct StepDone {
    std::int32_t tokens, accesses, hits;
    std::int32_t uploads, evictions, streamed;
    std::int32_t cpu_choices, device_choices;  ///< (token, expert) pairs per lane
    float predicted_us, actual_us, regret_us;
    float cpu_us;  ///< actual, of the CPU lane alone
  };
  struct Upload {
    std::int32_t expert, victim, slot;  ///< ExpertIndex; victim -1: the slot was free
    std::int32_t prefetch;              ///< 1: not an expert of this step
    std::int64_t bytes;
  };

  std::uint64_t time_ns = 0;  ///< steady clock
  Kind kind = Kind::kBatch;
  std::uint8_t reserved = 0;
  std::uint16_t layer = 0;  ///< number among the layers with routing
  union {
    Batch batch;
    Path path;
    StepDone step;
    Upload upload;
  };
  Event() : batch{} {}
};
static_assert(sizeof(Event) == 64);

using EventRing = SpscRing<Event>;

/// Of a recording: 16 MiB, a second of events at the rate of a fast desktop.
inline constexpr std::size_t kDefaultRingEvents = std::size_t{1} << 18;

}  // namespace haq::experts
