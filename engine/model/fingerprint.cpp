// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/model/fingerprint.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "engine/base/error.h"
#include "engine/base/file.h"
#include "engine/base/hash.h"
#include "engine/base/json.h"
#include "engine/base/log.h"
#include "engine/model/folder_checkpoint.h"

namespace haq::model {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kChunk = std::size_t{8}
                               << 20;  ///< bytes between two looks at the cancel token
constexpr std::size_t kMaxEntries = 1000;
constexpr const char* kBaseFingerprintKey = "haq.base_fingerprint";

/// Writes "name=value;" pairs; numbers with all their digits.
class Writer {
 public:
  template <typename T>
  void add(const char* name, const T& value) {
    if constexpr (std::is_enum_v<T>) {
      text_ += fmt::format("{}={};", name, static_cast<int>(value));
    } else {
      text_ += fmt::format("{}={};", name, value);
    }
  }
  template <typename T>
  void add(const char* name, const std::optional<T>& value) {
    if (value) add(name, *value);
  }
  void add(const char* name, const std::vector<double>& values) {
    for (const double value : values) add(name, value);
  }
  std::string take() { return std::move(text_); }

 private:
  std::string text_;
};

void add_rope(Writer& out, const RopeConfig& rope) {
  out.add("theta", rope.theta);
  out.add("rope_dim", rope.dim);
  out.add("interleaved", rope.interleaved);
  out.add("scaling", rope.scaling);
  out.add("factor", rope.factor);
  out.add("low_freq_factor", rope.low_freq_factor);
  out.add("high_freq_factor", rope.high_freq_factor);
  out.add("beta_fast", rope.beta_fast);
  out.add("beta_slow", rope.beta_slow);
  out.add("truncate", rope.truncate);
  out.add("attention_factor", rope.attention_factor);
  out.add("mscale", rope.mscale);
  out.add("mscale_all_dim", rope.mscale_all_dim);
  out.add("short_factor", rope.short_factor);
  out.add("long_factor", rope.long_factor);
  out.add("short_mscale", rope.short_mscale);
  out.add("long_mscale", rope.long_mscale);
  out.add("original_max_positions", rope.original_max_positions);
}

void add_experts(Writer& out, const ModelConfig& config) {
  out.add("experts", config.experts);
  out.add("top_k", config.top_k);
  out.add("router", config.router);
  out.add("norm_topk", config.norm_topk);
  out.add("router_jitter", config.router_jitter);
  out.add("routed_scale", config.routed_scale);
  out.add("shared_width", config.shared_width);
  out.add("shared_gate", config.shared_gate);
}

}  // namespace

std::string canonical_config(const ModelConfig& config) {
  Writer out;
  out.add("model_type", config.model_type);
  out.add("hidden", config.hidden);
  out.add("embed_dim", config.embed_dim);
  out.add("vocab", config.vocab);
  out.add("heads", config.heads);
  out.add("kv_heads", config.kv_heads);
  out.add("head_dim", config.head_dim);
  out.add("v_head_dim", config.v_head_dim);
  out.add("max_positions", config.max_positions);
  out.add("norm", config.norm);
  out.add("norm_eps", config.norm_eps);
  out.add("norm_before", config.norm_before);
  out.add("final_norm", config.final_norm);
  out.add("tied_head", config.tied_head);
  out.add("learned_positions", config.learned_positions);
  out.add("qk_norm", config.qk_norm);
  out.add("clip_qkv", config.clip_qkv);
  out.add("attention_sinks", config.attention_sinks);
  out.add("attention_scale", config.attention_scale);
  if (config.mla) {
    out.add("q_lora_rank", config.mla->q_lora_rank);
    out.add("kv_lora_rank", config.mla->kv_lora_rank);
    out.add("nope_dim", config.mla->nope_dim);
    out.add("mla_rope_dim", config.mla->rope_dim);
    out.add("v_dim", config.mla->v_dim);
  }
  add_rope(out, config.rope);
  out.add("ffn", config.ffn);
  out.add("swiglu_limit", config.swiglu_limit);
  out.add("embedding_multiplier", config.embedding_multiplier);
  out.add("residual_multiplier", config.residual_multiplier);
  out.add("logits_divisor", config.logits_divisor);
  add_experts(out, config);
  for (const auto& layer : config.layers) {
    out.add("moe", layer.moe);
    out.add("window", layer.sliding_window);
    out.add("width", layer.ffn_width);
  }
  out.add("quantized", config.quantized);
  return out.take();
}

std::string hash_model(const ModelConfig& config, const TensorSet& tensors,
                       const ProgressCallback& progress, const CancelToken& cancel) {
  std::vector<std::pair<std::string, TensorSet::Entry>> order(tensors.entries().begin(),
                                                              tensors.entries().end());
  std::sort(order.begin(), order.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  Progress report{"fingerprint", 0, 0, "bytes"};
  for (const auto& [name, entry] : order) report.total += entry.info->bytes();

  Hash128 hash;
  hash.update(canonical_config(config));
  for (const auto& [name, entry] : order) {
    hash.update(
        fmt::format("\n{}\n{}\n{}\n", name, entry.info->dtype_name, to_string(entry.info->shape)));
    auto bytes = entry.data();
    while (!bytes.empty()) {
      cancel.check();
      const auto part = bytes.first(std::min(kChunk, bytes.size()));
      hash.update(part);
      bytes = bytes.subspan(part.size());
      report.done += part.size();
      if (progress) progress(report);
    }
  }
  return hash.hex();
}

std::string base_fingerprint_of(const Checkpoint& checkpoint, const ProgressCallback& progress,
                                const CancelToken& cancel) {
  return checkpoint.config().quantized ? checkpoint.base_fingerprint()
                                       : checkpoint.fingerprint(progress, cancel);
}

std::string stamp_of(const std::vector<fs::path>& files) {
  std::string stamp = "1";  // version of the fingerprint's recipe
  for (const auto& file : files) {
    std::error_code error;
    const auto size = fs::file_size(file, error);
    if (error) return {};
    const auto time = fs::last_write_time(file, error);
    if (error) return {};
    stamp +=
        fmt::format("|{}:{}:{}", file.filename().string(), size, time.time_since_epoch().count());
  }
  Hash128 hash;  // many shards would make a long stamp
  hash.update(stamp);
  return hash.hex();
}

std::string FingerprintCache::find(const fs::path& folder, const std::string& stamp) const {
  std::error_code ignored;
  if (stamp.empty() || !fs::is_regular_file(file_, ignored)) return {};
  try {
    const nlohmann::json json = parse_json_file(file_);
    const auto found = json.find(folder.string());
    if (found == json.end() || !found->is_object() || found->value("stamp", "") != stamp) return {};
    const std::string text = found->value("fingerprint", "");
    const bool hex = text.find_first_not_of("0123456789abcdef") == std::string::npos;
    return text.size() == 32 && hex ? text : std::string();
  } catch (const std::exception& error) {
    log::debug(fmt::format("fingerprint cache not used: {}", error.what()));
    return {};
  }
}

void FingerprintCache::store(const fs::path& folder, const std::string& stamp,
                             const std::string& fingerprint) const {
  if (stamp.empty()) return;
  try {
    nlohmann::json json = nlohmann::json::object();
    std::error_code ignored;
    if (fs::is_regular_file(file_, ignored)) {
      try {
        json = parse_json_file(file_);
      } catch (const Error& error) {
        log::debug(fmt::format("fingerprint cache begun anew: {}", error.what()));
      }
    }
    if (!json.is_object() || json.size() >= kMaxEntries) json = nlohmann::json::object();
    json[folder.string()] = {{"stamp", stamp}, {"fingerprint", fingerprint}};
    fs::create_directories(file_.parent_path());
    write_file_atomically(file_, json.dump(1) + "\n");
  } catch (const std::exception& error) {
    log::debug(fmt::format("fingerprint cache not written: {}", error.what()));
  }
}

std::string FolderCheckpoint::fingerprint(const ProgressCallback& progress,
                                          const CancelToken& cancel) const {
  std::error_code ignored;
  fs::path folder = fs::weakly_canonical(folder_, ignored);
  if (folder.empty()) folder = folder_;
  std::vector<fs::path> files = {folder / "config.json"};
  for (const auto& file : tensors_.files()) files.push_back(file->mapping()->path());
  const std::string stamp = stamp_of(files);

  std::optional<FingerprintCache> cache;
  try {
    cache.emplace(user_data_dir() / "fingerprints.json");
  } catch (const Error& error) {
    log::debug(fmt::format("no fingerprint cache: {}", error.what()));
  }
  if (cache) {
    if (std::string known = cache->find(folder, stamp); !known.empty()) return known;
  }
  std::string fingerprint = hash_model(config_, tensors_, progress, cancel);
  if (cache) cache->store(folder, stamp, fingerprint);
  return fingerprint;
}

std::string FolderCheckpoint::base_fingerprint() const {
  if (config_.quantized) {
    std::string base = tensors_.metadata(kBaseFingerprintKey);
    if (!base.empty()) return base;
  }
  return fingerprint({}, {});
}

}  // namespace haq::model
