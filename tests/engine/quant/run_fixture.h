// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "engine/quant/quantizer.h"

namespace haq::test {

/// Copies the model files of a reference model to `folder` and adds a tokenizer whose vocabulary is
/// the model's, each id a word of its own.
void copy_with_tokenizer(const std::string& golden, const std::filesystem::path& folder);
/// Random words that this tokenizer knows.
std::string random_words(int count, unsigned seed);
/// A run on `folder`/source to `folder`/out with a text of random words, small enough for a test.
quant::QuantizeOptions small_run(const std::filesystem::path& folder,
                                 const std::string& golden = "mixtral",
                                 quant::Method method = quant::Method::kRtn);

/// Contents of every file below a folder, by relative path.
std::map<std::string, std::string> read_files(const std::filesystem::path& folder);

}  // namespace haq::test
