// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "engine/base/progress.h"
#include "engine/quant/calibration.h"
#include "engine/quant/folder/work_folder.h"
#include "engine/quant/layers/layer_pipeline.h"
#include "engine/quant/report/report.h"

namespace haq::quant {

struct QuantizeOptions {
  std::filesystem::path source;  ///< empty: the demo model
  std::filesystem::path target;
  CalibrationOptions calibration;
  Method method = Method::kHaq;
  RotateMode rotate = RotateMode::kAuto;  ///< methods other than haq: never rotated
  int rotation_seeds = 3;
  bool experts_only = false;
  bool solve = true;  ///< false: haq and gptq round plainly (to tell what the solver contributes)
  ResumeMode resume = ResumeMode::kFresh;
  int threads = 0;
  /// Activations beyond this are spilled to the target's disk; 0: a quarter of available memory.
  std::size_t activation_budget = 0;
};

/// Needs of a run, every term named, in bytes, before anything is read.
struct Preflight {
  std::int64_t disk_weights = 0;  ///< the written model, and finished layers beside it
  std::int64_t disk_spill = 0;    ///< temporary activations
  std::int64_t disk_free = 0;
  std::int64_t memory_activations = 0, memory_layer = 0, memory_hessians = 0, memory_model = 0;
  std::int64_t memory_available = 0;
  double seconds = 0;  ///< rough, from the operations and a short measurement of this machine
  std::int64_t memory() const {
    return memory_activations + memory_layer + memory_hessians + memory_model;
  }
  std::int64_t disk() const { return disk_weights + disk_spill; }
};
/// Reads only headers. Throws kUnsupported for an already quantized source or one that cannot be
/// quantized, naming why; kInvalidArgument for experts_only without experts.
Preflight estimate(const QuantizeOptions& options);
/// Refuses with the numbers: kNoSpace, kOutOfMemory.
void check(const Preflight& preflight, const QuantizeOptions& options);

/// What happens during a run, for a display. Called on the run's thread.
struct QuantizeEvents {
  /// Whole run: done and total in thousandths; stage for a person.
  ProgressCallback progress;
  std::function<void(const Preflight&)> preflight;
  std::function<void(const CalibrationData&)> calibration;
  std::function<void(const RotationTrial&)> rotation_trial;
  std::function<void(int layer, int layers)> layer_started;
  std::function<void(const ModuleReport&)> module_done;
  /// Also for layers found finished by a resume (`resumed`).
  std::function<void(const LayerOutput&, bool resumed)> layer_done;
};

struct QuantizeResult {
  Report report;                                    ///< without quality, which the session measures
  std::vector<std::vector<std::int32_t>> held_out;  ///< sequences that calibration did not use
};

/// Name of the report in the written folder.
inline constexpr const char* kReportFile = "quantization-report.json";

/// 16-bit folder -> W8A8 folder. Preflight, calibration data, rotation, layers, writing. Never
/// touches the source; throws kConflict when its files change meanwhile. On an error or a cancel
/// finished layers stay for --resume; resuming a run that is finished returns its report. A file of
/// the source that is cut short in place while it is mapped cannot be survived: the system ends the
/// process (SIGBUS), and the finished layers stay.
QuantizeResult quantize(const QuantizeOptions& options, const QuantizeEvents& events = {},
                        const CancelToken& cancel = {}, const PauseToken& pause = {});

}  // namespace haq::quant
