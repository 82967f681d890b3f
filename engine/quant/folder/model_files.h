// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <filesystem>
#include <string>
#include <vector>

/// The files of a written model besides its weights.
namespace haq::quant {

/// Whether a file of a model folder goes with a quantized copy as it is: tokenizer, chat template,
/// generation settings, licence. Never weights, never program code.
bool is_companion(const std::string& name);

/// Copies the companions (and additional_chat_templates/*.jinja) of `source`, each atomically with
/// its temporary file in `staging`. Returns sentences for the user (code that was left behind).
std::vector<std::string> copy_companions(const std::filesystem::path& source,
                                         const std::filesystem::path& target,
                                         const std::filesystem::path& staging);

/// The text of config.json: the source's with quantization_config, tie_word_embeddings false when
/// `untied`, and without references to code files (auto_map), which are not copied. Throws what
/// reading the source's throws.
std::string quantized_config(const std::filesystem::path& source, bool untied,
                             const std::vector<std::string>& ignore);

}  // namespace haq::quant
