// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/progress.h"
#include "engine/model/checkpoint.h"
#include "engine/quant/folder/layer_output.h"

namespace haq::quant {

/// What identifies a run: resuming is possible only under the same.
struct RunIdentity {
  std::string source_fingerprint, calibration_fingerprint;
  nlohmann::ordered_json settings;  ///< all that decides the bytes: method, rotate, seed, isa ...
  std::string hash() const;         ///< 32 hex digits
};

enum class ResumeMode {
  kFresh,    ///< the output folder must not hold a run or a model
  kResume,   ///< go on where the same run stopped; nothing there: start
  kRestart,  ///< throw away what an earlier run left (never a folder that is no output of ours)
};

/// The output folder while a run works on it: finished layers lie in a hidden subfolder, each file
/// whole or absent, until finish() makes the model of them. Holds a lock against a second run.
class WorkFolder {
 public:
  /// Throws kConflict: another run works on it, it holds a finished model or another run's parts
  /// (naming what differs), or files that are not ours. Throws kInvalidArgument when target lies in
  /// or is the source.
  WorkFolder(const std::filesystem::path& target, const std::filesystem::path& source,
             const RunIdentity& identity, ResumeMode mode);
  ~WorkFolder();
  WorkFolder(const WorkFolder&) = delete;
  WorkFolder& operator=(const WorkFolder&) = delete;

  const std::filesystem::path& scratch() const;  ///< for spill files, same disk
  /// Decisions taken once per run (rotation) and kept for a resume.
  std::optional<nlohmann::json> load_state(const std::string& key) const;
  void save_state(const std::string& key, const nlohmann::ordered_json& value);

  bool has_layer(int layer) const;
  /// Reads a finished layer with its reports (untrusted: a damaged file counts as not finished).
  std::optional<LayerOutput> load_layer(int layer) const;
  /// Written atomically. Throws kNoSpace, kIo.
  void save_layer(const LayerOutput& layer);

  /// Makes the model: shards of at most `shard_bytes` of tensors, index, config.json with
  /// quantization_config, tokenizer, template, generation and licence files copied from the source.
  /// config.json comes last, so a folder with one is complete; a kill in between is made good by
  /// the next finish(), which keeps the shards and the provenance of the first. Provenance
  /// (haq.version, haq.method ...) goes into each shard's metadata; haq.run, haq.base_fingerprint
  /// and format are added here. Returns sentences for the user. Throws kNotFound when a layer is
  /// missing, kNoSpace with the numbers, kConflict, kIo, kCancelled. After success the hidden
  /// folder, its scratch files and the lock are gone.
  std::vector<std::string> finish(const model::Checkpoint& source,
                                  const model::ModelConfig& quantized, bool untied,
                                  const std::vector<std::string>& ignore,
                                  const std::map<std::string, std::string>& provenance,
                                  std::uint64_t shard_bytes = std::uint64_t{4} << 30,
                                  const ProgressCallback& progress = {},
                                  const CancelToken& cancel = {});

  /// Facts about an output folder without taking it: for lists and the wizard.
  struct Status {
    bool exists = false, finished = false, running = false;
    int layers_done = 0, layers = 0;
    std::string run_hash;
    nlohmann::json settings;
  };
  static Status inspect(const std::filesystem::path& target);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// compressed-tensors "int-quantized" section for config.json.
nlohmann::ordered_json quantization_config(const std::vector<std::string>& ignore);

}  // namespace haq::quant
