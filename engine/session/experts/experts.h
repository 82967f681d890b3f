// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "engine/experts/placement/placement.h"
#include "engine/experts/runtime/runtime.h"
#include "engine/profile/recordings/recorder.h"
#include "engine/session/session.h"

namespace haq::session {

/// How a model's experts are run: the options of generate, chat, eval, profile and bench, words as
/// in the command line.
struct ExpertOptions {
  std::string device = "auto";  ///< cpu, cuda, cuda:N, emulated, auto
  /// Budget of resident experts; empty: the plan's, else "all" that fits, on a device; 0 on the
  /// CPU.
  std::string vram;
  std::string policy;          ///< empty: auto with a device, none without
  std::filesystem::path plan;  ///< empty: none
  std::string miss = "auto";
  std::string path_goal = "time";
  std::string card;  ///< a preset of the emulated device; empty: none
  std::optional<double> link_gb_s, emulate_tflops;
  /// Form of int8 experts on the emulated device: "int8", or "16bit" for a card without integer
  /// products, whose results are then not bit-identical.
  std::string slot_type = "int8";
  std::string record;  ///< name of a recording to make; empty: none
  std::string learn;   ///< name of a recording that `path` learns from beforehand; empty: none
  std::filesystem::path database;  ///< the user's; for record, learn and cost tables
  /// A recording that cannot be begun is an error; else a notice, and the model runs without.
  bool recording_required = false;

  /// What can be told without a model. Throws kInvalidArgument naming the option and what it may
  /// be: unknown words, a budget that is none, options that contradict each other, or that need a
  /// device where there is none; kUnsupported for a device that this build cannot drive.
  void check() const;
  /// Words of the option that asks for experts, first of those that differ from their default;
  /// empty: none does.
  std::string asks_for_experts() const;
};

/// The expert runtime attached to a model, with its device, costs and recording. Detaches when
/// destroyed. One thread at a time, the model's.
class ExpertSession {
 public:
  /// Null for a dense model when no option asks for experts; kInvalidArgument naming the option
  /// otherwise. Costs come from the store when they are known there, else they are measured and,
  /// the store being writable, kept; without a device none are needed. `notices` receives sentences
  /// for the user (a fallback and its reason, a budget below a layer's top-k, a recording that
  /// cannot be made). kConflict for a recording whose name is taken, kOutOfMemory with the numbers
  /// for a budget that does not fit, and what check() throws.
  static std::unique_ptr<ExpertSession> attach(std::shared_ptr<Model> model,
                                               const ExpertOptions& options,
                                               std::vector<std::string>& notices,
                                               const ProgressCallback& progress = {},
                                               const CancelToken& cancel = {});
  virtual ~ExpertSession() = default;
  virtual experts::ExpertRuntime& runtime() = 0;
  virtual device::DeviceInfo device() const = 0;
  /// Call before each prompt.
  virtual void begin_prompt() = 0;
  /// The model worked for so many seconds more; what telemetry_overhead is a share of.
  virtual void add_seconds(double seconds) = 0;
  /// What was recorded so far; empty when nothing is. A failure ends the recording, not the model:
  /// it is told here.
  virtual std::optional<profile::Recorder::Summary> recording() const = 0;
  /// Ends the recording, stores the refitted costs; stats stay readable. Called once.
  virtual std::optional<profile::Recorder::Summary> finish() = 0;
  /// The object `experts` of the command line's JSON: device, emulated, policy, capacity, accesses,
  /// hits, hit_rate, per_layer_hit_rate[], evictions, uploads, bytes_uploaded, cpu_tokens,
  /// gpu_tokens, decisions, regret_us_mean, modelled_ms_per_token{mean,std}, dropped_events,
  /// telemetry_overhead. Times that no cost table predicts are null.
  virtual nlohmann::ordered_json json() const = 0;
  /// The same in a few lines for a person.
  virtual std::string summary() const = 0;
};

}  // namespace haq::session
