// SPDX-License-Identifier: GPL-3.0-or-later
#include <map>
#include <nlohmann/json.hpp>

#include "engine/base/error.h"
#include "engine/base/json.h"
#include "engine/model/safetensors.h"

namespace haq::model {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSingleFile = "model.safetensors";
constexpr const char* kIndexFile = "model.safetensors.index.json";
constexpr std::size_t kMaxShards = 10000;

/// Regular files only: opening a named pipe would wait for its writer.
bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored);
}

/// A shard is a plain file name beside its index; anything else could reach outside the folder.
bool is_plain_name(const std::string& name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string::npos &&
         name.find('\\') == std::string::npos && name.find('\0') == std::string::npos;
}

/// weight_map of the index: tensor name -> shard file name.
std::map<std::string, std::string> read_index(const fs::path& path) {
  JsonLimits limits;
  limits.max_depth = 16;
  const nlohmann::json json = parse_json_file(path, limits);
  if (!json.is_object() || !json.contains("weight_map") || !json["weight_map"].is_object()) {
    fail(ErrorCode::kCorrupt, "{}: field \"weight_map\" is missing, expected an object",
         path.string());
  }
  std::map<std::string, std::string> map;
  for (const auto& [tensor, shard] : json["weight_map"].items()) {
    if (!shard.is_string() || !is_plain_name(shard.get<std::string>())) {
      fail(ErrorCode::kCorrupt,
           "{}: tensor \"{}\": found shard {}, expected a file name in the same folder",
           path.string(), tensor.substr(0, 200),
           shard.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace).substr(0, 200));
    }
    map.emplace(tensor, shard.get<std::string>());
  }
  if (map.empty()) fail(ErrorCode::kCorrupt, "{}: field \"weight_map\" is empty", path.string());
  return map;
}

[[noreturn]] void fail_no_weights(const fs::path& folder) {
  std::string found;
  for (const char* other : {"pytorch_model.bin", "pytorch_model.bin.index.json",
                            "consolidated.00.pth", "tf_model.h5", "flax_model.msgpack"}) {
    if (is_there(folder / other)) found = other;
  }
  if (!found.empty()) {
    throw Error(ErrorCode::kUnsupported,
                fmt::format("{}: holds {} but no {}; only safetensors weights are read",
                            folder.string(), found, kSingleFile),
                "convert the model to safetensors, or fetch its safetensors files");
  }
  fail(ErrorCode::kNotFound, "{}: neither {} nor {} is there", folder.string(), kSingleFile,
       kIndexFile);
}

}  // namespace

void TensorSet::add_file(const fs::path& path) {
  files_.push_back(SafetensorsFile::open(path));
}

TensorSet TensorSet::open(const fs::path& folder) {
  TensorSet set;
  if (is_there(folder / kSingleFile)) {
    set.add_file(folder / kSingleFile);
    const SafetensorsFile& file = *set.files_.front();
    for (const auto& [name, info] : file.header().tensors) set.entries_[name] = {&file, &info};
    return set;
  }
  const fs::path index_path = folder / kIndexFile;
  if (!is_there(index_path)) fail_no_weights(folder);

  const auto index = read_index(index_path);
  std::map<std::string, const SafetensorsFile*> shards;
  for (const auto& [tensor, shard] : index) shards[shard] = nullptr;
  if (shards.size() > kMaxShards) {
    fail(ErrorCode::kLimit, "{}: {} shards, more than the limit of {}", index_path.string(),
         shards.size(), kMaxShards);
  }
  std::string missing;
  for (const auto& [shard, file] : shards) {
    if (!is_there(folder / shard)) missing += (missing.empty() ? "" : ", ") + shard;
  }
  if (!missing.empty()) {
    throw Error(ErrorCode::kNotFound,
                fmt::format("{}: missing shards: {}", folder.string(), missing),
                "complete the download of the model");
  }
  for (auto& [shard, file] : shards) {
    set.add_file(folder / shard);
    file = set.files_.back().get();
  }
  for (const auto& [tensor, shard] : index) {
    const SafetensorsFile* file = shards[shard];
    const auto found = file->header().tensors.find(tensor);
    if (found == file->header().tensors.end()) {
      fail(ErrorCode::kCorrupt, "{}: the index says that {} holds tensor \"{}\", but it does not",
           index_path.string(), shard, tensor.substr(0, 200));
    }
    set.entries_[tensor] = {file, &found->second};
  }
  return set;
}

const TensorSet::Entry* TensorSet::find(const std::string& name) const {
  const auto found = entries_.find(name);
  return found == entries_.end() ? nullptr : &found->second;
}

std::string TensorSet::metadata(const std::string& key) const {
  for (const auto& file : files_) {
    const auto found = file->header().metadata.find(key);
    if (found != file->header().metadata.end()) return found->second;
  }
  return {};
}

}  // namespace haq::model
