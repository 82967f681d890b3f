// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/text/tokenizer.h"

namespace haq::test {

/// Every line of a JSON-lines file.
std::vector<nlohmann::json> read_json_lines(const std::filesystem::path& path);

/// A tokenizer of the reference vectors by name: from tests/golden/tokenizers, or from the shared
/// data folder; null when it lies there and that folder is missing. Loaded once per program.
std::shared_ptr<const text::Tokenizer> golden_tokenizer(const std::string& name);

/// Names of the tokenizers that lie in the repository.
std::vector<std::string> small_tokenizer_names();
/// And of those that need the shared data folder.
std::vector<std::string> large_tokenizer_names();

}  // namespace haq::test
