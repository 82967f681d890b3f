// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "engine/base/progress.h"

/// Finding model folders on disk and telling what they are without loading them. Nothing here
/// throws because of one bad folder.
namespace haq::model {

struct FoundModel {
  std::filesystem::path path;
  std::string display_name;  ///< "org/name" in a Hugging Face cache, else the path below the root
  enum class Source { kFolder, kHuggingFaceCache, kDemo } source = Source::kFolder;
};

struct ScanLimits {
  int max_depth = 4;                ///< folders below the given one
  std::size_t max_entries = 50000;  ///< directory entries looked at, over the whole scan
  std::size_t max_models = 2000;
};

/// Model folders at or below `root`, sorted by name. A folder is one when it holds config.json and
/// weights. Follows symbolic links, each real folder once; hidden folders are skipped; what cannot
/// be read is passed over. A Hugging Face cache below root is understood. Throws only kCancelled.
std::vector<FoundModel> scan_folder(const std::filesystem::path& root,
                                    const ScanLimits& limits = {}, const CancelToken& cancel = {});

/// The Hugging Face hub cache: $HF_HUB_CACHE, else $HF_HOME/hub, else
/// ($XDG_CACHE_HOME or ~/.cache)/huggingface/hub; empty when none of the variables is set.
std::filesystem::path hugging_face_cache();

/// The demo model, the Hugging Face cache and the given folders, without duplicates, in this order.
std::vector<FoundModel> discover(const std::vector<std::filesystem::path>& folders,
                                 const ScanLimits& limits = {}, const CancelToken& cancel = {});

/// Name of a model folder for display; ".../models--org--name/snapshots/REV" is "org/name".
std::string display_name(const std::filesystem::path& folder);

/// What a list of models shows. Fields that could not be found out keep their defaults.
struct ModelFacts {
  std::filesystem::path path;
  std::string name;
  bool supported = false;
  std::string reason, hint;          ///< why not, and what to do about it
  std::string family, architecture;  ///< "mixtral", "MixtralForCausalLM"
  std::string precision;             ///< "bf16", "f16", "f32", "w8a8"
  int layers = 0, experts = 0, top_k = 0;
  std::int64_t parameters = 0, active_parameters = 0;
  std::int64_t file_bytes = 0;  ///< size of the weight files on disk
  std::int64_t context = 0;
  bool has_tokenizer = false;  ///< tokenizer.json is there
};

/// Reads config.json and the headers of the weight files only. Never throws: what is wrong with the
/// folder is in `reason`.
ModelFacts quick_facts(const std::filesystem::path& folder);

}  // namespace haq::model
