// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "engine/model/safetensors.h"
#include "engine/quant/folder/layer_output.h"

namespace haq::quant {

/// One finished layer as a safetensors file: its tensors, and in the metadata the run it belongs
/// to, its reports and a hash over all of it.
std::string layer_file_name(int layer);  ///< "layer-0007.safetensors", -1: "globals.safetensors"

/// Throws kNoSpace with the numbers, kIo, kInternal when a tensor's bytes do not fit its shape.
void write_layer_file(const std::filesystem::path& path, const std::string& run,
                      const LayerOutput& layer);

/// The file, when it is whole and belongs to this run and layer; null when it is absent, damaged or
/// foreign. `check_content` reads and hashes every byte.
std::shared_ptr<const model::SafetensorsFile> open_layer_file(const std::filesystem::path& path,
                                                              const std::string& run, int layer,
                                                              bool check_content);

/// The reports of a layer as JSON text, and back. Reading throws kCorrupt, kLimit naming `file`.
std::string layer_reports(const LayerOutput& layer);
void read_layer_reports(const std::string& text, const std::string& file, LayerOutput& layer);
/// The reports' text in an open layer file's metadata.
const std::string& reports_of(const model::SafetensorsFile& file);

}  // namespace haq::quant
