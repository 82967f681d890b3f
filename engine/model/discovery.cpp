// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/model/discovery.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>

#include "engine/base/error.h"
#include "engine/base/file.h"
#include "engine/base/json.h"
#include "engine/base/log.h"
#include "engine/model/checkpoint.h"
#include "engine/model/config_fields.h"

namespace haq::model {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kRepositoryPrefix = "models--";

bool is_file(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored);
}

bool is_folder(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

bool is_weight_file(const std::string& name) {
  const auto ends_with = [&](std::string_view end) {
    return name.size() >= end.size() &&
           name.compare(name.size() - end.size(), end.size(), end) == 0;
  };
  return ends_with(".safetensors") || ends_with(".safetensors.index.json") ||
         (name.rfind("pytorch_model", 0) == 0 && ends_with(".bin"));
}

fs::path real_path(const fs::path& path) {
  std::error_code error;
  fs::path real = fs::canonical(path, error);
  return error ? fs::path() : real;
}

/// "models--org--name" -> "org/name".
std::string repository_name(const std::string& folder) {
  const std::string name = folder.substr(kRepositoryPrefix.size());
  const auto dashes = name.find("--");
  if (dashes == std::string::npos) return name;
  return fmt::format("{}/{}", name.substr(0, dashes), name.substr(dashes + 2));
}

/// A repository of the cache: "models--...", "datasets--..." or "spaces--..." with snapshots.
bool is_repository(const fs::path& folder) {
  return folder.filename().string().find("--") != std::string::npos &&
         is_folder(folder / "snapshots");
}

bool is_model_repository(const fs::path& folder) {
  return folder.filename().string().rfind(kRepositoryPrefix, 0) == 0;
}

/// The snapshot that refs/main names, else the one written last; empty when there is none.
fs::path current_snapshot(const fs::path& repository) {
  const fs::path snapshots = repository / "snapshots";
  constexpr std::size_t kMaxReference = 200;
  if (is_file(repository / "refs/main")) {
    try {
      std::string revision = read_text_file(repository / "refs/main", kMaxReference);
      revision.erase(std::find_if(revision.begin(), revision.end(),
                                  [](unsigned char c) { return std::isalnum(c) == 0; }),
                     revision.end());
      if (!revision.empty() && is_folder(snapshots / revision)) return snapshots / revision;
    } catch (const Error& error) {
      log::debug(error.what());
    }
  }
  fs::path newest;
  fs::file_time_type newest_time;
  std::error_code error;
  for (fs::directory_iterator it(snapshots, error), end; !error && it != end; it.increment(error)) {
    std::error_code ignored;
    const auto time = it->last_write_time(ignored);
    if (it->is_directory(ignored) && (newest.empty() || time > newest_time)) {
      newest = it->path();
      newest_time = time;
    }
  }
  return newest;
}

/// One walk over a tree, with all its limits.
class Scanner {
 public:
  Scanner(fs::path root, const ScanLimits& limits, const CancelToken& cancel)
      : root_(std::move(root)), limits_(limits), cancel_(cancel) {}

  std::vector<FoundModel> run() {
    if (is_folder(root_)) visit(root_, 0);
    std::sort(found_.begin(), found_.end(), [](const FoundModel& a, const FoundModel& b) {
      return a.display_name < b.display_name;
    });
    return std::move(found_);
  }

 private:
  bool full() const {
    return entries_ >= limits_.max_entries || found_.size() >= limits_.max_models;
  }

  void visit(const fs::path& folder, int depth) {
    cancel_.check();
    const fs::path real = real_path(folder);
    if (real.empty() || !visited_.insert(real).second) return;
    if (is_repository(folder)) {
      if (!is_model_repository(folder)) return;
      const fs::path snapshot = current_snapshot(folder);
      if (!snapshot.empty() && holds_model(snapshot)) {
        found_.push_back({snapshot, repository_name(folder.filename().string()),
                          FoundModel::Source::kHuggingFaceCache});
      }
      return;
    }
    std::vector<fs::path> children;
    bool config = false;
    bool weights = false;
    std::error_code error;
    for (fs::directory_iterator it(folder, error), end; !error && it != end && !full();
         it.increment(error)) {
      ++entries_;
      const std::string name = it->path().filename().string();
      if (name.empty() || name.front() == '.') continue;
      std::error_code ignored;
      if (it->is_directory(ignored)) {
        children.push_back(it->path());
      } else if (name == "config.json") {
        config = true;
      } else {
        weights = weights || is_weight_file(name);
      }
    }
    if (config && weights) {
      found_.push_back({folder, name_below_root(folder), FoundModel::Source::kFolder});
    }
    if (depth >= limits_.max_depth) return;
    std::sort(children.begin(), children.end());
    for (const auto& child : children) {
      if (full()) return;
      visit(child, depth + 1);
    }
  }

  bool holds_model(const fs::path& folder) {
    if (!is_file(folder / "config.json")) return false;
    std::error_code error;
    for (fs::directory_iterator it(folder, error), end; !error && it != end && !full();
         it.increment(error)) {
      ++entries_;
      if (is_weight_file(it->path().filename().string())) return true;
    }
    return false;
  }

  std::string name_below_root(const fs::path& folder) const {
    const std::string relative = folder.lexically_relative(root_).generic_string();
    return relative.empty() || relative == "." ? display_name(folder) : relative;
  }

  fs::path root_;
  const ScanLimits& limits_;
  const CancelToken& cancel_;
  std::vector<FoundModel> found_;
  std::set<fs::path> visited_;
  std::size_t entries_ = 0;
};

/// A path from the environment; Hugging Face's tools expand a leading "~/" in it.
fs::path path_from_environment(const char* variable) {
  const char* value = std::getenv(variable);
  if (value == nullptr || *value == '\0') return {};
  const std::string_view text(value);
  const char* home = std::getenv("HOME");
  if (text.rfind("~/", 0) == 0 && home != nullptr) return fs::path(home) / text.substr(2);
  return text;
}

void sum_weight_files(const fs::path& folder, ModelFacts& facts) {
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    std::error_code ignored;
    const std::string name = it->path().filename().string();
    if (!is_weight_file(name) || it->path().extension() == ".json") continue;
    const auto size = it->file_size(ignored);
    if (!ignored) facts.file_bytes += static_cast<std::int64_t>(size);
  }
}

/// What config.json says about a model that cannot be opened, as far as it can be read.
void describe_unsupported(const fs::path& folder, ModelFacts& facts) {
  try {
    const fs::path path = folder / "config.json";
    if (!is_file(path)) return;
    const nlohmann::json json = parse_json_file(path);
    const Fields fields(json, path.string());
    facts.family = fields.text_if("model_type").value_or("");
    const auto classes = fields.texts_if("architectures");
    if (classes && !classes->empty()) facts.architecture = classes->front();
    constexpr int kMax = std::numeric_limits<int>::max();
    facts.layers = static_cast<int>(fields.integer_if("num_hidden_layers", 0, kMax).value_or(0));
    facts.context = fields.integer_if("max_position_embeddings", 0, kMax).value_or(0);
  } catch (const std::exception& error) {
    log::debug(error.what());  // `reason` already says why the folder cannot be used
  }
}

}  // namespace

std::string display_name(const fs::path& folder) {
  fs::path path = real_path(folder);
  if (path.empty()) path = folder.lexically_normal();
  if (path.filename().empty()) path = path.parent_path();
  const std::string repository = path.parent_path().parent_path().filename().string();
  if (path.parent_path().filename() == "snapshots" && repository.rfind(kRepositoryPrefix, 0) == 0) {
    return repository_name(repository);
  }
  return path.filename().string();
}

fs::path hugging_face_cache() {
  if (fs::path cache = path_from_environment("HF_HUB_CACHE"); !cache.empty()) return cache;
  if (fs::path home = path_from_environment("HF_HOME"); !home.empty()) return home / "hub";
  if (fs::path cache = path_from_environment("XDG_CACHE_HOME"); !cache.empty()) {
    return cache / "huggingface/hub";
  }
  if (fs::path home = path_from_environment("HOME"); !home.empty()) {
    return home / ".cache/huggingface/hub";
  }
  return {};
}

std::vector<FoundModel> scan_folder(const fs::path& root, const ScanLimits& limits,
                                    const CancelToken& cancel) {
  return Scanner(root, limits, cancel).run();
}

std::vector<FoundModel> discover(const std::vector<fs::path>& folders, const ScanLimits& limits,
                                 const CancelToken& cancel) {
  std::vector<FoundModel> all;
  std::set<fs::path> seen;
  const auto add = [&](FoundModel model) {
    const fs::path real = real_path(model.path);
    if (seen.insert(real.empty() ? model.path : real).second) all.push_back(std::move(model));
  };
  try {
    if (const fs::path demo = demo_model_dir(); is_file(demo / "config.json")) {
      add({demo, display_name(demo), FoundModel::Source::kDemo});
    }
  } catch (const Error& error) {
    log::debug(error.what());  // an installation without the demo model
  }
  if (const fs::path cache = hugging_face_cache(); !cache.empty()) {
    for (auto& model : scan_folder(cache, limits, cancel)) {
      model.source = FoundModel::Source::kHuggingFaceCache;
      add(std::move(model));
    }
  }
  for (const auto& folder : folders) {
    for (auto& model : scan_folder(folder, limits, cancel)) add(std::move(model));
  }
  return all;
}

ModelFacts quick_facts(const fs::path& folder) {
  ModelFacts facts;
  facts.path = folder;
  try {
    facts.name = display_name(folder);
    sum_weight_files(folder, facts);
    facts.has_tokenizer = is_file(folder / "tokenizer.json");
    const auto checkpoint = Checkpoint::open(folder);
    const ModelConfig& config = checkpoint->config();
    facts.family = config.model_type;
    facts.architecture = config.architecture;
    facts.precision = checkpoint->precision();
    facts.layers = config.layer_count();
    facts.experts = config.experts;
    facts.top_k = config.top_k;
    facts.context = config.max_positions;
    const ParameterSummary parameters = checkpoint->parameters();
    facts.parameters = parameters.total;
    facts.active_parameters = parameters.active;
    facts.supported = true;
  } catch (const Error& error) {
    facts.reason = error.what();
    facts.hint = error.hint();
  } catch (const std::exception& error) {
    facts.reason = fmt::format("{}: {}", folder.string(), error.what());
  }
  if (!facts.supported) describe_unsupported(folder, facts);
  return facts;
}

}  // namespace haq::model
