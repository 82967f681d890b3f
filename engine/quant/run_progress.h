// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "engine/base/progress.h"

namespace haq::quant {

/// Turns the progress of a run's parts into one of the whole run that grows with time, so that a
/// display can tell the time left: what remains is weighed by the seconds that the parts done so
/// far took. Before there are any, by the estimate of the preflight. One thread at a time.
class RunProgress {
 public:
  using Clock = std::chrono::steady_clock;
  /// Seconds expected of the parts; `layers` in all.
  struct Expected {
    int layers = 0;
    double reading = 0, rotation = 0, layer = 0, skipped_layer = 0, writing = 0;
  };
  /// `paused` tells how long the run was halted so far: that is no work.
  RunProgress(ProgressCallback callback, std::function<Clock::duration()> paused)
      : callback_(std::move(callback)), paused_(std::move(paused)) {}

  void expect(const Expected& expected) { expected_ = expected; }
  /// The parts in their order. A part that is begun ends the one before.
  void begin_reading();
  void begin_rotation();
  void begin_layer(int layer, bool skipped);
  void begin_writing();
  void finish();
  /// How many layers, from the first on, are already finished and only passed.
  void set_finished_layers(int count) { finished_layers_ = count; }

  /// `share` (0..1) of the part that is running.
  void report(const std::string& stage, double share);
  /// For calls that bring their own progress: `prefix` goes before its stage.
  ProgressCallback part(std::string prefix = {});

 private:
  enum class Part { kNone, kReading, kRotation, kLayer, kWriting, kDone };
  void begin(Part part);
  /// Seconds of work so far, and those of the part that is running.
  double elapsed() const;
  double elapsed_in_part() const { return elapsed() - part_start_; }
  double layer_seconds() const;
  double remaining(double share) const;

  ProgressCallback callback_;
  Expected expected_;
  Part part_ = Part::kNone;
  std::function<Clock::duration()> paused_;
  Clock::time_point start_ = Clock::now();
  double part_start_ = 0;
  int layer_ = 0, finished_layers_ = 0;
  bool skipped_ = false;
  int measured_layers_ = 0, measured_skips_ = 0;
  double measured_ = 0, measured_skipped_ = 0;  ///< seconds of those
  std::uint64_t shown_ = 0;
};

}  // namespace haq::quant
