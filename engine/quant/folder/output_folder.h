// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <filesystem>
#include <string>
#include <vector>

/// What may be written and what may be thrown away in a folder that the user named.
namespace haq::quant {

inline constexpr const char* kHiddenFolder = ".haq-quantize";
inline constexpr const char* kRunMetadataKey = "haq.run";

/// Throws kInvalidArgument when the two folders are the same or one lies in the other, also through
/// symbolic links, or when the target is something else than a folder.
void check_apart(const std::filesystem::path& target, const std::filesystem::path& source);

/// The run hash in a weight file's metadata; empty when the file is no safetensors file of ours.
std::string run_of_file(const std::filesystem::path& file);

/// The run hash of the finished model in a folder: its config.json and all weights are there, and
/// the weights are ours. Empty otherwise.
std::string finished_run(const std::filesystem::path& folder);

/// Names in the folder besides the hidden one, sorted.
std::vector<std::string> entries(const std::filesystem::path& folder);

/// Throws kConflict naming a file that a model's readers would take for a part of the result, but
/// that no run of ours wrote: weights without a run's mark, or the config.json of another model
/// than the run `hash`'s.
void check_no_foreign_model(const std::filesystem::path& folder, const std::string& hash);

/// Removes what an earlier run wrote, finished or not: weight files that carry a run's mark and
/// their index; of a finished model also config.json and quantization-report.json. Nothing else.
/// Throws kIo.
void remove_model(const std::filesystem::path& folder);

/// Makes a folder and those above it, where missing. Throws kNoSpace, kIo.
void make_folder(const std::filesystem::path& folder);

/// Removes a file or folder with everything in it; a link itself, not what it points to. Throws
/// kIo.
void remove_tree(const std::filesystem::path& path);

}  // namespace haq::quant
