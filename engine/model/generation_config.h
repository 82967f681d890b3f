// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "engine/model/config.h"

namespace haq::model {

/// Reads generation_config.json's content (untrusted). Throws kCorrupt naming the field.
GenerationDefaults parse_generation_config(const nlohmann::json& json,
                                           const std::string& file_name);
/// The same from a model folder; everything stays empty when the file is not there.
GenerationDefaults read_generation_config(const std::filesystem::path& folder);

}  // namespace haq::model
