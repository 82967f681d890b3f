// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/quant/folder/output_folder.h"

#include <algorithm>

#include "engine/base/error.h"
#include "engine/model/safetensors.h"

namespace haq::quant {
namespace {

namespace fs = std::filesystem;

constexpr const char* kConfig = "config.json";
constexpr const char* kIndex = "model.safetensors.index.json";
constexpr const char* kReport = "quantization-report.json";

bool same(const fs::path& a, const fs::path& b) {
  std::error_code error;
  return a == b || (fs::equivalent(a, b, error) && !error);
}

/// Whether `inner` is `outer` or lies below it; both canonical. Every ancestor is compared by
/// identity, so that another way to the same folder (a bind mount) does not get past.
bool within(const fs::path& inner, const fs::path& outer) {
  for (fs::path place = inner;; place = place.parent_path()) {
    if (same(place, outer)) return true;
    if (place == place.parent_path()) return false;
  }
}

/// "model.safetensors" and "model-00001-of-00002.safetensors": what readers of models look for.
bool is_weight_name(const std::string& name) {
  return name.rfind("model", 0) == 0 && fs::path(name).extension() == ".safetensors";
}

void remove_file(const fs::path& file) {
  std::error_code error;
  fs::remove(file, error);
  if (error) fail(ErrorCode::kIo, "{}: cannot remove: {}", file.string(), error.message());
}

}  // namespace

void check_apart(const fs::path& target, const fs::path& source) {
  if (target.empty()) fail(ErrorCode::kInvalidArgument, "no output folder is given");
  std::error_code error;
  const fs::path to = fs::weakly_canonical(target, error);
  if (error) {
    fail(ErrorCode::kIo, "{}: cannot be looked up: {}", target.string(), error.message());
  }
  const fs::path from = fs::weakly_canonical(source, error);
  if (error) {
    fail(ErrorCode::kIo, "{}: cannot be looked up: {}", source.string(), error.message());
  }
  const char* relation = nullptr;
  if (same(to, from)) {
    relation = "is the source model's own folder";
  } else if (within(to, from)) {
    relation = "lies in the source model's folder";
  } else if (within(from, to)) {
    relation = "holds the source model's folder";
  }
  if (relation != nullptr) {
    throw Error(
        ErrorCode::kInvalidArgument,
        fmt::format("{}: the output folder {} ({})", target.string(), relation, from.string()),
        "choose a folder beside the source; the source is never touched");
  }
  if (fs::exists(to, error) && !fs::is_directory(to, error)) {
    fail(ErrorCode::kInvalidArgument, "{}: not a folder", target.string());
  }
}

std::string run_of_file(const fs::path& file) {
  std::error_code ignored;
  if (!fs::is_regular_file(file, ignored)) return {};
  try {
    const auto opened = model::SafetensorsFile::open(file);
    const auto found = opened->header().metadata.find(kRunMetadataKey);
    return found == opened->header().metadata.end() ? std::string() : found->second;
  } catch (const Error&) {
    return {};  // damaged or something else: nobody's
  }
}

std::string finished_run(const fs::path& folder) {
  std::error_code ignored;
  if (!fs::is_regular_file(folder / kConfig, ignored)) return {};
  try {
    return model::TensorSet::open(folder).metadata(kRunMetadataKey);
  } catch (const Error&) {
    return {};  // weights missing or damaged: no finished model
  }
}

std::vector<std::string> entries(const fs::path& folder) {
  std::error_code error;
  std::vector<std::string> names;
  for (fs::directory_iterator item(folder, error), end; !error && item != end;
       item.increment(error)) {
    std::string name = item->path().filename().string();
    if (name != kHiddenFolder) names.push_back(std::move(name));
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    fail(ErrorCode::kIo, "{}: cannot be listed: {}", folder.string(), error.message());
  }
  std::sort(names.begin(), names.end());
  return names;
}

void check_no_foreign_model(const fs::path& folder, const std::string& hash) {
  const auto refuse = [&](const std::string& name) {
    throw Error(ErrorCode::kConflict,
                fmt::format("{}: lies in the output folder, but no run of this program wrote it",
                            (folder / name).string()),
                "move it away, or choose another output folder");
  };
  for (const std::string& name : entries(folder)) {
    if (is_weight_name(name) && run_of_file(folder / name).empty()) refuse(name);
    if (name == kConfig && finished_run(folder) != hash) refuse(name);
  }
}

void remove_model(const fs::path& folder) {
  if (!finished_run(folder).empty()) {
    // config.json first: without it the rest counts as no model, whenever this is interrupted.
    remove_file(folder / kConfig);
    remove_file(folder / kReport);
  }
  std::vector<std::string> ours;
  for (const std::string& name : entries(folder)) {
    if (is_weight_name(name) && !run_of_file(folder / name).empty()) ours.push_back(name);
  }
  if (!ours.empty()) remove_file(folder / kIndex);
  for (const std::string& name : ours) remove_file(folder / name);
}

void make_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (!error) return;
  const bool full = error == std::errc::no_space_on_device;
  throw Error(full ? ErrorCode::kNoSpace : ErrorCode::kIo,
              fmt::format("{}: cannot be made: {}", folder.string(), error.message()),
              full ? "free space on this disk" : "choose a folder that can be written");
}

void remove_tree(const fs::path& path) {
  std::error_code error;
  fs::remove_all(path, error);
  if (error) fail(ErrorCode::kIo, "{}: cannot remove: {}", path.string(), error.message());
}

}  // namespace haq::quant
