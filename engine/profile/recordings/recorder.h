// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "engine/experts/telemetry/events.h"
#include "engine/profile/recordings/recordings.h"
#include "engine/profile/store/store_file.h"

namespace haq::profile {

/// Drains a ring of runtime events on its own thread (30 times a second, sooner when half full) and
/// writes the paths of finished batches into a recording, about four transactions a second: a kill
/// loses the batch under way and what was finished since the last one. A token of which an event
/// was dropped is left out and counted. A failure to write (full disk, locked file) ends the
/// recording; it never stops the model. The store may come without a lock where the program holds
/// it already.
class Recorder {
 public:
  struct Summary {
    std::string name;
    std::int64_t tokens = 0, decode_tokens = 0, prompts = 0;
    std::int64_t dropped_events = 0, dropped_tokens = 0;
    std::string failure;  ///< why the recording ended early, a sentence; empty: all is written
  };
  /// Takes the store (opened for writing). Throws what Recordings::begin() throws.
  Recorder(StoreFile store, const Recording& recording,
           std::size_t ring_events = experts::kDefaultRingEvents);
  ~Recorder();  ///< finishes as "interrupted" when finish() was not called
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;

  /// For ExpertRuntime::set_events(); take it away from the runtime before finish().
  experts::EventRing& ring();
  /// Every drained event, on the recorder's thread, also after a failure: for live views. Set
  /// before the first event.
  void set_tap(std::function<void(std::span<const experts::Event>)> tap);
  /// Writes what is left and ends the recording. `run_json` as in Recording.
  Summary finish(const std::string& run_json);
  Summary so_far() const;  ///< any thread

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace haq::profile
