// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/quant/folder/model_files.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string_view>

#include "engine/base/error.h"
#include "engine/base/file.h"
#include "engine/base/json.h"
#include "engine/quant/folder/output_folder.h"
#include "engine/quant/folder/work_folder.h"

namespace haq::quant {
namespace {

namespace fs = std::filesystem;

constexpr const char* kTemplates = "additional_chat_templates";

constexpr std::array<std::string_view, 13> kNames = {"tokenizer.json",
                                                     "tokenizer.model",
                                                     "tokenizer_config.json",
                                                     "special_tokens_map.json",
                                                     "added_tokens.json",
                                                     "vocab.json",
                                                     "vocab.txt",
                                                     "merges.txt",
                                                     "spiece.model",
                                                     "sentencepiece.bpe.model",
                                                     "chat_template.jinja",
                                                     "chat_template.json",
                                                     "generation_config.json"};

/// Beginnings of the names of licence files, in upper case.
constexpr std::array<std::string_view, 5> kLicences = {"LICENSE", "LICENCE", "NOTICE", "COPYING",
                                                       "USE_POLICY"};

std::string upper(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return text;
}

std::vector<std::string> files_in(const fs::path& folder) {
  std::error_code error;
  std::vector<std::string> names;
  for (fs::directory_iterator item(folder, error), end; !error && item != end;
       item.increment(error)) {
    std::error_code ignored;
    if (item->is_regular_file(ignored)) names.push_back(item->path().filename().string());
  }
  if (error) fail(ErrorCode::kIo, "{}: cannot be listed: {}", folder.string(), error.message());
  std::sort(names.begin(), names.end());
  return names;
}

void copy_file(const fs::path& from, const fs::path& to, const fs::path& staging) {
  const auto source = MappedFile::open(from);
  AtomicFile file(to, staging);
  file.write(source->bytes());
  file.commit();
}

}  // namespace

bool is_companion(const std::string& name) {
  if (std::find(kNames.begin(), kNames.end(), name) != kNames.end()) return true;
  const std::string extension = fs::path(name).extension();
  if (extension == ".tiktoken") return true;
  if (extension == ".py" || extension == ".safetensors" || extension == ".bin") return false;
  const std::string loud = upper(name);
  return std::any_of(kLicences.begin(), kLicences.end(),
                     [&](std::string_view start) { return loud.rfind(start, 0) == 0; });
}

std::vector<std::string> copy_companions(const fs::path& source, const fs::path& target,
                                         const fs::path& staging) {
  std::string code;
  for (const std::string& name : files_in(source)) {
    if (is_companion(name)) copy_file(source / name, target / name, staging);
    if (fs::path(name).extension() == ".py") code += (code.empty() ? "" : ", ") + name;
  }
  std::error_code error;
  if (fs::is_directory(source / kTemplates, error)) {
    make_folder(target / kTemplates);
    for (const std::string& name : files_in(source / kTemplates)) {
      if (fs::path(name).extension() != ".jinja") continue;
      copy_file(source / kTemplates / name, target / kTemplates / name, staging);
    }
  }
  if (code.empty()) return {};
  return {
      fmt::format("The source holds program code of its own ({}). It was not copied, and "
                  "config.json no longer refers to it: the written model is read by programs "
                  "that know its architecture themselves.",
                  code)};
}

std::string quantized_config(const fs::path& source, bool untied,
                             const std::vector<std::string>& ignore) {
  const fs::path path = source / "config.json";
  constexpr std::size_t kMaxBytes = std::size_t{16} << 20;
  nlohmann::ordered_json json = parse_ordered_json(read_text_file(path, kMaxBytes), path.string());
  if (!json.is_object()) {
    fail(ErrorCode::kCorrupt, "{}: expected a JSON object", path.string());
  }
  json.erase("auto_map");
  json.erase("compression_config");
  if (untied) json["tie_word_embeddings"] = false;
  json["quantization_config"] = quantization_config(ignore);
  return json.dump(2) + "\n";
}

}  // namespace haq::quant
