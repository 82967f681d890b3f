// SPDX-License-Identifier: GPL-3.0-or-later
// From finished layers to a model folder. Every step can be repeated: what is complete is kept,
// what is not is made again, and config.json, which makes a model of the folder, comes last.
#include "engine/base/error.h"
#include "engine/base/file.h"
#include "engine/quant/folder/layer_file.h"
#include "engine/quant/folder/model_files.h"
#include "engine/quant/folder/output_folder.h"
#include "engine/quant/folder/work_folder_impl.h"

namespace haq::quant {
namespace {

namespace fs = std::filesystem;

void remove_file(const fs::path& file) {
  std::error_code error;
  fs::remove(file, error);
  if (error) fail(ErrorCode::kIo, "{}: cannot remove: {}", file.string(), error.message());
}

void write_staged(const fs::path& path, const fs::path& staging, const std::string& text) {
  AtomicFile file(path, staging);
  file.write(text);
  file.commit();
}

}  // namespace

void WorkFolder::Impl::make_plan(const std::map<std::string, std::string>& provenance,
                                 std::uint64_t shard_bytes) {
  if (plan) return;  // begun before: the files that are there were cut by it
  ShardPlan::LayerFiles layers;
  std::map<int, std::string> reports;
  for (int layer = -1; layer < run.layers; ++layer) {
    const File file = layer_file(layer);
    if (file == nullptr) {
      fail(ErrorCode::kNotFound, "{}: {} is missing or damaged; the model is not complete",
           target.string(), layer_path(layer).filename().string());
    }
    layers.emplace(layer, file);
    reports.emplace(layer, reports_of(*file));
  }
  auto metadata = provenance;
  metadata["format"] = "pt";  // transformers refuses a file without it
  metadata["haq.base_fingerprint"] = run.identity.source_fingerprint;
  metadata[kRunMetadataKey] = hash;
  ShardPlan made = ShardPlan::make(layers, std::move(metadata), shard_bytes);
  made.reports = std::move(reports);
  made.write(plan_path());
  plan = std::move(made);
}

/// Layer files none of whose tensors is needed by a later shard.
void WorkFolder::Impl::remove_layer_files(std::size_t shards_done) {
  std::set<int> needed;
  for (std::size_t i = shards_done; i < plan->shards.size(); ++i) {
    for (const auto& tensor : plan->shards[i].tensors) needed.insert(tensor.layer);
  }
  for (int layer = -1; layer < run.layers; ++layer) {
    if (needed.count(layer) == 0) remove_file(layer_path(layer));
  }
}

void WorkFolder::Impl::write_shards(const ProgressCallback& progress, const CancelToken& cancel) {
  Progress report{"writing the model", 0, plan->bytes(), "bytes"};
  const auto advance = [&](std::uint64_t bytes) {
    report.done += bytes;
    if (progress) progress(report);
  };
  const auto open = [&](int layer) {
    File file = layer_file(layer);
    if (file == nullptr) {
      fail(ErrorCode::kNotFound, "{}: {} is missing or damaged; the model is not complete",
           target.string(), layer_path(layer).filename().string());
    }
    return file;
  };
  for (std::size_t i = 0; i < plan->shards.size(); ++i) {
    cancel.check();
    const auto& shard = plan->shards[i];
    if (plan->open_complete(target, shard)) {
      advance(shard.bytes());
    } else {
      write_shard(*plan, shard, target, hidden, open, advance, cancel);
    }
    remove_layer_files(i + 1);
  }
}

void WorkFolder::Impl::remove_hidden() {
  remove_file(run_path());  // first: from here on there is no run to go on with
  remove_tree(hidden);
  lock.reset();
}

std::vector<std::string> WorkFolder::finish(
    const model::Checkpoint& source, const model::ModelConfig& quantized, bool untied,
    const std::vector<std::string>& ignore, const std::map<std::string, std::string>& provenance,
    std::uint64_t shard_bytes, const ProgressCallback& progress, const CancelToken& cancel) {
  Impl& run = *impl_;
  if (source.is_synthetic()) {
    fail(ErrorCode::kInvalidArgument,
         "{}: synthetic weights have no folder to copy a tokenizer "
         "and config.json from",
         source.name());
  }
  if (quantized.layer_count() != run.run.layers) {
    fail(ErrorCode::kInternal, "the quantized model has {} layers, the source {}",
         quantized.layer_count(), run.run.layers);
  }
  check_no_foreign_model(run.target, run.hash);
  run.make_plan(provenance, shard_bytes);
  run.write_shards(progress, cancel);
  if (const std::string index = run.plan->index(); !index.empty()) {
    write_staged(run.target / "model.safetensors.index.json", run.hidden, index);
  }
  cancel.check();
  const auto notices = copy_companions(source.folder(), run.target, run.hidden);
  const fs::path config = run.target / "config.json";
  write_staged(config, run.hidden, quantized_config(source.folder(), untied, ignore));
  try {
    (void)model::Checkpoint::open(run.target);
  } catch (const Error& error) {
    remove_file(config);  // a folder that cannot be read must not look finished
    fail(ErrorCode::kInternal, "the written model cannot be read: {}", error.what());
  }
  run.remove_hidden();
  return notices;
}

}  // namespace haq::quant
