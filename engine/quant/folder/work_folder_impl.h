// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>

#include "engine/quant/folder/folder_lock.h"
#include "engine/quant/folder/run_file.h"
#include "engine/quant/folder/shards.h"
#include "engine/quant/folder/work_folder.h"

namespace haq::quant {

struct WorkFolder::Impl {
  using File = std::shared_ptr<const model::SafetensorsFile>;

  Impl(const std::filesystem::path& target, const std::filesystem::path& source,
       const RunIdentity& identity, ResumeMode mode);
  ~Impl();

  std::filesystem::path target, hidden, scratch;
  RunFile run;
  std::string hash;
  std::optional<FolderLock> lock;
  std::optional<ShardPlan> plan;  ///< there once finish() has begun, in this process or before
  std::set<int> verified;         ///< layers whose file's content was checked

  std::filesystem::path layer_path(int layer) const;
  std::filesystem::path plan_path() const { return hidden / "plan.json"; }
  std::filesystem::path run_path() const { return hidden / "run.json"; }
  /// The layer's file, content checked once; null when it is not there.
  File layer_file(int layer);
  /// Whether all tensors of a layer lie in complete shards.
  bool in_shards(int layer) const;

  // --- finish(), in its order
  void make_plan(const std::map<std::string, std::string>& provenance, std::uint64_t shard_bytes);
  void write_shards(const ProgressCallback& progress, const CancelToken& cancel);
  void remove_layer_files(std::size_t shards_done);
  void remove_hidden();

 private:
  void check_before_start(ResumeMode mode) const;
  void check_free(ResumeMode mode) const;
  void check_same_run() const;
  void start(ResumeMode mode);
  void tidy() noexcept;
  bool made_target = false;
};

/// Whether the hidden folder holds anything that took work: a layer, a decision, a plan.
bool holds_work(const std::filesystem::path& hidden);

}  // namespace haq::quant
