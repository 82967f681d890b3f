// SPDX-License-Identifier: GPL-3.0-or-later
// Starting, resuming and looking at a work folder; see finish.cpp for its end.
#include "engine/quant/folder/work_folder.h"

#include <algorithm>

#include "engine/base/error.h"
#include "engine/base/file.h"
#include "engine/base/json.h"
#include "engine/base/log.h"
#include "engine/quant/folder/layer_file.h"
#include "engine/quant/folder/output_folder.h"
#include "engine/quant/folder/work_folder_impl.h"

namespace haq::quant {
namespace {

namespace fs = std::filesystem;

constexpr const char* kLock = "lock";
constexpr const char* kRun = "run.json";
constexpr const char* kPlan = "plan.json";
constexpr const char* kScratch = "scratch";
constexpr const char* kRestartHint = "begin anew with --restart, or choose another output folder";

int layers_of(const fs::path& source) {
  const fs::path config = source / "config.json";
  return model::parse_config(parse_json_file(config), config.string()).layer_count();
}

bool is_folder(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(fs::symlink_status(path, ignored));
}

bool is_file(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored);
}

std::vector<std::string> names_in(const fs::path& folder) {
  std::error_code error;
  std::vector<std::string> names;
  for (fs::directory_iterator item(folder, error), end; !error && item != end;
       item.increment(error)) {
    names.push_back(item->path().filename().string());
  }
  return names;
}

std::string join(const std::vector<std::string>& parts, const char* separator) {
  std::string text;
  for (const auto& part : parts) text += (text.empty() ? "" : separator) + part;
  return text;
}

/// What is damaged in a work folder cannot be gone on with.
template <typename Read>
auto with_restart_hint(Read read) {
  try {
    return read();
  } catch (const Error& error) {
    throw Error(error.code(), error.what(), kRestartHint);
  }
}

fs::path state_path(const fs::path& hidden, const std::string& key) {
  const bool plain =
      !key.empty() &&
      key.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-_") == std::string::npos;
  if (!plain) fail(ErrorCode::kInternal, "\"{}\" is no key of a run's state", key);
  return hidden / ("state-" + key + ".json");
}

int layers_in(const fs::path& target, const fs::path& hidden, const RunFile& run) {
  const std::string hash = run.identity.hash();
  std::optional<ShardPlan> plan;
  std::set<int> unfinished;
  if (is_file(hidden / kPlan)) {
    plan = ShardPlan::read(hidden / kPlan);
    for (const auto& shard : plan->shards) {
      if (plan->open_complete(target, shard)) continue;
      for (const auto& tensor : shard.tensors) unfinished.insert(tensor.layer);
    }
  }
  int count = 0;
  for (int layer = 0; layer < run.layers; ++layer) {
    const bool placed = plan && plan->reports.count(layer) != 0 && unfinished.count(layer) == 0;
    if (placed || open_layer_file(hidden / layer_file_name(layer), hash, layer, false)) ++count;
  }
  return count;
}

}  // namespace

bool holds_work(const fs::path& hidden) {
  const auto names = names_in(hidden);
  return std::any_of(names.begin(), names.end(), [](const std::string& name) {
    if (name.find(".tmp-") != std::string::npos) return false;
    return name == kPlan || name.rfind("state-", 0) == 0 ||
           fs::path(name).extension() == ".safetensors";
  });
}

WorkFolder::Impl::Impl(const fs::path& target_folder, const fs::path& source,
                       const RunIdentity& identity, ResumeMode mode)
    : target(target_folder), hidden(target / kHiddenFolder), scratch(hidden / kScratch) {
  check_apart(target, source);
  run = {identity, layers_of(source)};
  hash = identity.hash();
  std::error_code ignored;
  made_target = !fs::exists(target, ignored);
  check_before_start(mode);
  lock.emplace(hidden / kLock, target);
  try {
    start(mode);
  } catch (...) {
    tidy();
    throw;
  }
}

/// Everything that can be refused before anything is created.
void WorkFolder::Impl::check_before_start(ResumeMode mode) const {
  std::error_code ignored;
  if (fs::exists(fs::symlink_status(hidden, ignored)) && !is_folder(hidden)) {
    throw Error(ErrorCode::kConflict,
                fmt::format("{}: not a folder of this program", hidden.string()),
                "choose another output folder");
  }
  if (!is_file(run_path())) check_free(mode);
}

/// For a folder without a run to go on with.
void WorkFolder::Impl::check_free(ResumeMode mode) const {
  const auto others = entries(target);
  if (others.empty()) return;
  if (!finished_run(target).empty()) {
    if (mode == ResumeMode::kRestart) return;
    throw Error(ErrorCode::kConflict,
                fmt::format("{}: holds a finished quantized model", target.string()),
                "make it anew with --restart, or choose another output folder");
  }
  throw Error(ErrorCode::kConflict,
              fmt::format("{}: the folder is not empty and no output of this program (it holds "
                          "\"{}\"{})",
                          target.string(), others.front(),
                          others.size() > 1 ? fmt::format(" and {} more", others.size() - 1) : ""),
              "choose an empty or a new folder");
}

/// Under the lock.
void WorkFolder::Impl::start(ResumeMode mode) {
  check_before_start(mode);  // once more: another run may have ended since
  for (const std::string& name : names_in(hidden)) {
    if (name.find(".tmp-") != std::string::npos) remove_tree(hidden / name);
  }
  remove_tree(scratch);
  const bool has_work = is_file(run_path()) && holds_work(hidden);
  if (has_work && mode == ResumeMode::kFresh) {
    throw Error(ErrorCode::kConflict,
                fmt::format("{}: holds an unfinished quantization", target.string()),
                "go on with --resume, begin anew with --restart, or choose another output folder");
  }
  if (has_work && mode == ResumeMode::kResume) {
    check_same_run();
    check_no_foreign_model(target, hash);
    if (is_file(plan_path()))
      plan = with_restart_hint([&] { return ShardPlan::read(plan_path()); });
  } else {
    if (mode != ResumeMode::kRestart) check_free(mode);
    remove_model(target);
    check_no_foreign_model(target, hash);
    for (const std::string& name : names_in(hidden)) {
      if (name != kLock && name != kRun) remove_tree(hidden / name);
    }
    run.write(run_path());
  }
  make_folder(scratch);
}

void WorkFolder::Impl::check_same_run() const {
  const RunFile found = with_restart_hint([&] { return RunFile::read(run_path()); });
  const auto differing = differences(found.identity, run.identity);
  if (differing.empty()) return;
  throw Error(ErrorCode::kConflict,
              fmt::format("{}: the unfinished quantization there is another one: {}",
                          target.string(), join(differing, "; ")),
              kRestartHint);
}

WorkFolder::Impl::~Impl() {
  tidy();
}

/// A run that was stopped before it had done anything leaves nothing behind.
void WorkFolder::Impl::tidy() noexcept {
  if (!lock) return;
  std::error_code ignored;
  fs::remove_all(scratch, ignored);
  if (holds_work(hidden)) return;
  fs::remove_all(hidden, ignored);
  if (made_target) fs::remove(target, ignored);  // only when it is empty
}

fs::path WorkFolder::Impl::layer_path(int layer) const {
  return hidden / layer_file_name(layer);
}

WorkFolder::Impl::File WorkFolder::Impl::layer_file(int layer) {
  const bool known = verified.count(layer) != 0;
  File file = open_layer_file(layer_path(layer), hash, layer, !known);
  if (file != nullptr) verified.insert(layer);
  return file;
}

bool WorkFolder::Impl::in_shards(int layer) const {
  if (!plan || plan->reports.count(layer) == 0) return false;
  for (const auto& shard : plan->shards) {
    const bool concerned = std::any_of(shard.tensors.begin(), shard.tensors.end(),
                                       [&](const auto& tensor) { return tensor.layer == layer; });
    if (concerned && plan->open_complete(target, shard) == nullptr) return false;
  }
  return true;
}

WorkFolder::WorkFolder(const fs::path& target, const fs::path& source, const RunIdentity& identity,
                       ResumeMode mode)
    : impl_(std::make_unique<Impl>(target, source, identity, mode)) {}

WorkFolder::~WorkFolder() = default;

const fs::path& WorkFolder::scratch() const {
  return impl_->scratch;
}

std::optional<nlohmann::json> WorkFolder::load_state(const std::string& key) const {
  const fs::path path = state_path(impl_->hidden, key);
  if (!is_file(path)) return {};
  return with_restart_hint([&] { return parse_json_file(path); });
}

void WorkFolder::save_state(const std::string& key, const nlohmann::ordered_json& value) {
  write_file_atomically(state_path(impl_->hidden, key), value.dump() + "\n");
}

bool WorkFolder::has_layer(int layer) const {
  return impl_->layer_file(layer) != nullptr || impl_->in_shards(layer);
}

std::optional<LayerOutput> WorkFolder::load_layer(int layer) const {
  LayerOutput output;
  output.layer = layer;
  const auto take = [&](const model::SafetensorsFile& file, const std::string& name) {
    const model::TensorInfo& info = file.header().tensors.at(name);
    const auto bytes = file.data(info);
    output.tensors.push_back({name, *info.dtype, info.shape, {bytes.begin(), bytes.end()}});
  };
  std::string reports;
  if (const auto file = impl_->layer_file(layer)) {
    reports = reports_of(*file);
    for (const auto& [name, info] : file->header().tensors) take(*file, name);
  } else if (impl_->in_shards(layer)) {
    reports = impl_->plan->reports.at(layer);
    for (const auto& shard : impl_->plan->shards) {
      const auto whole = impl_->plan->open_complete(impl_->target, shard);
      for (const auto& tensor : shard.tensors) {
        if (tensor.layer == layer) take(*whole, tensor.spec.name);
      }
    }
  } else {
    return {};
  }
  std::sort(output.tensors.begin(), output.tensors.end(),
            [](const OutputTensor& a, const OutputTensor& b) { return a.name < b.name; });
  read_layer_reports(reports, impl_->layer_path(layer).string(), output);
  return output;
}

void WorkFolder::save_layer(const LayerOutput& layer) {
  if (layer.layer < -1 || layer.layer >= impl_->run.layers) {
    fail(ErrorCode::kInternal, "layer {} of a model with {}", layer.layer, impl_->run.layers);
  }
  impl_->verified.erase(layer.layer);
  write_layer_file(impl_->layer_path(layer.layer), impl_->hash, layer);
  impl_->verified.insert(layer.layer);
  if (impl_->plan) {  // the layer was made again after finish() had begun
    impl_->plan->reports[layer.layer] = layer_reports(layer);
    impl_->plan->write(impl_->plan_path());
  }
}

WorkFolder::Status WorkFolder::inspect(const fs::path& target) {
  Status status;
  std::error_code ignored;
  status.exists = fs::is_directory(target, ignored);
  if (!status.exists) return status;
  const fs::path hidden = target / kHiddenFolder;
  status.running = FolderLock::held(hidden / kLock);
  status.run_hash = finished_run(target);
  status.finished = !status.run_hash.empty();
  try {
    if (!is_file(hidden / kRun)) return status;
    const RunFile run = RunFile::read(hidden / kRun);
    status.run_hash = run.identity.hash();
    status.settings = nlohmann::json::parse(run.identity.settings.dump());
    status.layers = run.layers;
    status.layers_done = layers_in(target, hidden, run);
  } catch (const Error& error) {
    log::debug(error.what());  // the facts found so far are what there is to tell
  }
  return status;
}

}  // namespace haq::quant
